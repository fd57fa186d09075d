"""What a feature brings to a process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter

from signalbox.auth.doors import Door
from signalbox.auth.security import Guard
from signalbox.infra.context import Context


@dataclass(frozen=True, slots=True)
class Feature:
    """Routes and doors under one name."""

    name: str
    routers: Sequence[APIRouter] = ()
    doors: Sequence[Door[Any]] = ()


FeatureFactory = Callable[[Context, Guard], Feature]
