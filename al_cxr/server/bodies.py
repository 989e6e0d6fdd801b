"""What a page may send: small JSON objects of known keys and types; anything else is refused with a reason."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator
from starlette.exceptions import HTTPException
from starlette.requests import Request

LARGEST = 16_384
"""Bytes of a body."""
LONGEST_VIEW = 2000
"""Characters of what is kept of how an image was looked at."""

Id = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z_-]{7,63}$")]
Comment = Annotated[str, StringConstraints(max_length=2000)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Nothing(Body):
    pass


class Next(Body):
    n: int = Field(1, ge=1, le=20)


class Shown(Body):
    question: Id


class Said(Body):
    """A comment by itself."""

    question: Id
    comment: Comment = Field(min_length=1)


class Told(Body):
    """An answer."""

    question: Id
    answer: str = Field(min_length=1, max_length=200)
    milliseconds: int | None = Field(None, ge=0, le=24 * 3_600_000)
    comment: Comment = ""
    view: dict[str, Any] = Field(default_factory=dict)

    @field_validator("view")
    @classmethod
    def _small(cls, view: dict[str, Any]) -> dict[str, Any]:
        if len(json.dumps(view, allow_nan=False)) > LONGEST_VIEW:
            raise ValueError(f"longer than {LONGEST_VIEW} characters")
        return view


B = TypeVar("B", bound=Body)


async def body_of(request: Request, kind: type[B]) -> B:
    """The body of a request; HTTPException 413 or 422 where it is none of this kind."""
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > LARGEST:
            raise HTTPException(413, f"more than {LARGEST:,} bytes")
    try:
        return kind.model_validate_json(bytes(data) or b"{}")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise HTTPException(422, f"{where}: {first['msg']}") from None
