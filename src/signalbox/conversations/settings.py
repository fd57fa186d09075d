"""Settings under ``[conversations]``."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class ConversationSettings(BaseModel):
    """Search over imported transcripts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cache_bytes: Annotated[int, Field(ge=1024**2)] = 32 * 1024**2
    """Memory that answers take in each process, unless ``cache.redis_url`` is set."""
    max_upload: Annotated[int, Field(ge=1)] = 1024**3
    """Bytes of a zip file that is uploaded."""
    max_unpacked: Annotated[int, Field(ge=1)] = 16 * 1024**3
    """Bytes that the files in a zip file may unpack to."""
