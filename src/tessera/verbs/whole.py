"""Files that appear whole or not at all."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def whole(path: Path, write: Callable[[Path], Any]) -> None:
    """What `write` writes to the path it is given lies at `path` once it is finished, for anybody to read."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unfinished-") as folder:
        temporary = Path(folder) / path.name
        write(temporary)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
