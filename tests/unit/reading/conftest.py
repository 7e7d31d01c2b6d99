"""Helpers of the reader tests: files from text, records as dicts, the shared sample data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loader.reading import ReadOptions, Source, open_source

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def quirks() -> Path:
    """Return the folder of small stored files."""
    return ROOT / "tests" / "data" / "quirks"


@pytest.fixture
def shared() -> Path:
    """Return the sample data beside the project, or skip."""
    folder = Path(os.environ.get("WEIGHHOUSE_SHARED", ROOT.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"sample data not found at {folder} (set WEIGHHOUSE_SHARED)")
    return folder


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Source]]:
    """Open content as a file: text is written as UTF-8 unless `written` says otherwise."""
    sources: list[Source] = []

    def open_content(
        content: str | bytes | Path, name: str = "stock.csv", written: str = "utf-8", **options: Any
    ) -> Source:
        path = content if isinstance(content, Path) else tmp_path / name
        if not isinstance(content, Path):
            path.write_bytes(content.encode(written) if isinstance(content, str) else content)
        source = open_source(path, ReadOptions(**options))
        sources.append(source)
        return source

    yield open_content
    for source in sources:
        source.close()


@pytest.fixture
def read(opened: Callable[..., Source]) -> Callable[..., list[dict[str, Any]]]:
    """Read content to records, one dict each."""

    def read_content(*content: Any, **options: Any) -> list[dict[str, Any]]:
        return as_dicts(opened(*content, **options))

    return read_content


def as_dicts(source: Source) -> list[dict[str, Any]]:
    return [dict(zip(source.columns, record, strict=True)) for record in source.records()]
