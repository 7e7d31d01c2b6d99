"""Files become staging records: pure Python, no database.

`open_source` recognises a CSV file or workbook by its content and gives a `Source`, whose
`copy_blocks` (for COPY) or `records` carry every cell as the text it is. What the text means is
judged in the database; what cannot be carried is counted: each record of the file is emitted, or in
`Source.skipped` by reason, or in `Source.bad_rows`.

======================  ==========================================================================
`stream`                bytes: hash, gzip, standard input, encoding
`dialect`               delimited text as a table: delimiter, quotes, line numbers
`workbook`              .xlsx as a table
`headers`               captions and the search for the header
`flat`, `hierarchy`     rows that are no data; totals and what they contain
`movements`, `balances`, `statement`    the layouts of facts
`norms`                 the layout of norms of natural loss
`copying`               input for COPY, numbers for names
======================  ==========================================================================
"""

from loader.reading.copying import COPY_OPTIONS, NAMES, Spellings
from loader.reading.options import (
    NORM_COLUMNS,
    STAGING_COLUMNS,
    BadRow,
    FactLayout,
    LayoutName,
    ReadOptions,
)
from loader.reading.source import Source, open_source

__all__ = [
    "COPY_OPTIONS",
    "NAMES",
    "NORM_COLUMNS",
    "STAGING_COLUMNS",
    "BadRow",
    "FactLayout",
    "LayoutName",
    "ReadOptions",
    "Source",
    "Spellings",
    "open_source",
]
