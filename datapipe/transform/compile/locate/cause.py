"""What led to an error of PostgreSQL's, as far as it can be told."""

from __future__ import annotations

from datapipe.frozen import frozen
from datapipe.transform.compile.locate.place import TemplatePlace


@frozen
class Cause:
    """Where it stands in the templates, and what to say ``more`` than PostgreSQL does.

    ``about`` is the word of a long line that is to be seen.
    """

    place: TemplatePlace
    more: str = ""
    about: str = ""
    with_line_before: bool = False
