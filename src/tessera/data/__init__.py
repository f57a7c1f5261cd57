"""Users' data as documents, and mixtures of sources."""

from tessera.data.dataset import Dataset
from tessera.data.formats import open_data
from tessera.data.images import open_picture
from tessera.data.mannered import Mannered
from tessera.data.mixture import Mixture, Schedule, schedule
from tessera.data.rows import BadRow
from tessera.data.source import Source

__all__ = ["BadRow", "Dataset", "Mannered", "Mixture", "Schedule", "Source", "open_data", "open_picture", "schedule"]
