"""`[labels.columns]` of the project file: what the columns of a series table are called."""

from typing import Literal

from pydantic import Field

from agrifm.validation import Frozen

Period = Literal["month", "dekad"] | int
"""What a date stands for: a calendar month, a third of a month, or a number of days, the date included."""

USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "sample": ("sample_id", "sampleid", "point_id", "id", "#", "fid", "index"),
    "date": ("date", "timestamp", "datetime", "acquisition_date", "time"),
    "longitude": ("longitude", "lon"),
    "latitude": ("latitude", "lat"),
    "label": ("label", "class", "crop", "crop_type", "croptype"),
    "end": ("end_date", "end"),
}
"""Names by which a column is recognised if the project states none, in small letters, the first that occurs."""
STATED_NAMES: dict[str, tuple[str, ...]] = {
    "fold": ("fold", "folds", "split", "partition", "subset"),
    "parcel": ("parcel", "parcel_id", "field_id"),
    "block": ("block", "block_id"),
}
"""Names of columns that decide what is trained and tested, in small letters: they are used only where they are stated,
and a table that has one which is not stated gets a note."""
FIRST_NAMES = ("start_date", "start")
"""Names of the column with the first date of a table whose columns are numbered."""


class SeriesColumns(Frozen):
    """Names of columns; those that are left out are recognised by their usual names, or not used."""

    sample: str | None = None
    """Name of the point or parcel, the same in all rows of one."""
    date: str | None = None
    """Date of a row, for tables with a row for each date."""
    label: str | None = None
    """Code of the class; `column` under [labels] means the same."""
    longitude: str | None = None
    """Degrees; a column of geometry does as well."""
    latitude: str | None = None
    """Degrees."""
    block: str | None = None
    """Block that is kept apart from others; otherwise squares of `block` metres."""
    fold: str | None = None
    """train, validation or test, or numbers from 0, of which the last is the test and the one before the validation;
    `fold_column` under [labels] means the same."""
    parcel: str | None = None
    """Parcel; its points are never in two folds."""
    weight: str | None = None
    """Weight of a place in training, above 0."""
    start: str | None = None
    """First day of the season of each place, if seasons differ; their length is that of [season]."""
    day: str | None = None
    """Day of the year, 1 to 366, on which the composite of a row was seen; a product's column of days is recognised by
    its name."""
    end: str | None = None
    """Last date of a table whose columns are numbered."""
    period: Period | None = Field(None)
    """What a date stands for, if it is the first day of a composite: "month", "dekad" or a number of days."""
