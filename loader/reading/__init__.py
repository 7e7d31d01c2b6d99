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
`spelling`              rows of movements that casts can read, and numbers for their names
`copying`               input for COPY
======================  ==========================================================================
"""

from loader.reading.copying import COPY_OPTIONS
from loader.reading.flat import Batch
from loader.reading.options import (
    NORM_COLUMNS,
    STAGING_COLUMNS,
    BadRow,
    FactLayout,
    LayoutName,
    ReadOptions,
)
from loader.reading.source import ROWS_AT_ONCE, Source, open_source
from loader.reading.spelling import Kinds, Rows

__all__ = [
    "COPY_OPTIONS",
    "NORM_COLUMNS",
    "ROWS_AT_ONCE",
    "STAGING_COLUMNS",
    "BadRow",
    "Batch",
    "FactLayout",
    "Kinds",
    "LayoutName",
    "ReadOptions",
    "Rows",
    "Source",
    "open_source",
]
