"""The command line: it joins recipes, data and verbs, and holds nothing else. One file for each kind of command."""

import os
import sys

from tessera.cli import benchmarks, comparing, distances, looking, parts, publishing, scoring, training, writing
from tessera.cli.app import app, errors, say
from tessera.verbs.train import Stopped

__all__ = ["app", "benchmarks", "comparing", "distances", "looking", "main", "parts", "publishing", "scoring", "training", "writing"]


def main() -> None:
    """Run; a user's mistake is one red line, not a traceback. Recipes of one's own are found in the folder it runs in."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        app(standalone_mode=True)
    except (ValueError, OSError, FloatingPointError) as error:
        errors.print("error:", style="red", end=" ")
        say(str(error), errors)
        sys.exit(1 if isinstance(error, FloatingPointError) else 2)
    except Stopped as stopped:
        say(str(stopped), errors)
        sys.exit(130)
