"""Options of a function: its keyword-only parameters, whose annotations say what a value may be."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from al_cxr.core.errors import UserError
from al_cxr.core.invalid import reasons
from al_cxr.core.nearest import hint


def require_signature(function: Callable[..., Any], arguments: Sequence[str], what: str) -> None:
    """ValueError where a function or class does not take `(*arguments, *, options)` with typed options.

    `what` is what the function is called in the message, such as "strategy 'entropy'".
    """
    parameters = list(inspect.signature(function).parameters.values())
    first, options = parameters[: len(arguments)], parameters[len(arguments) :]
    if [p.name for p in first] != list(arguments):
        raise ValueError(f"{what}: the first parameters must be {', '.join(arguments)}")
    for p in options:
        if p.kind is not p.KEYWORD_ONLY or p.annotation is p.empty:
            raise ValueError(f"{what}: option {p.name} must be keyword-only and have a type")


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Every option of a function or class with its default; `...` for an option that must be given.

    >>> def power(scores, *, beta: float = 1.0, steps: int): ...
    >>> defaults(power)
    {'beta': 1.0, 'steps': Ellipsis}
    """
    parameters = inspect.signature(function).parameters.values()
    return {p.name: ... if p.default is p.empty else p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def checked(function: Callable[..., Any], given: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    """The options of a call: those given, which must be what the annotations say, and the defaults of all others.

    UserError `where.option: what is wrong` for an unknown or missing option and for a value of the wrong type or range.
    `name` is the function's for a reader.

    >>> def power(scores, *, beta: float = 1.0): ...
    >>> checked(power, {"beta": 2}, "power", "arms.a")
    {'beta': 2.0}
    >>> checked(power, {"bta": 2}, "power", "arms.a")
    Traceback (most recent call last):
    al_cxr.core.errors.UserError: arms.a.bta: power has no such option; did you mean 'beta'?
    """
    known = defaults(function)
    for option in given:
        if option not in known:
            other = hint(str(option), known) if known else "; it has none"
            raise UserError(f"{where}.{option}: {name} has no such option{other}")
    # get_type_hints rather than the signature: annotations are strings until they are resolved.
    hints = typing.get_type_hints(function.__init__ if inspect.isclass(function) else function, include_extras=True)
    fields: dict[str, Any] = {option: (hints[option], default) for option, default in known.items()}
    config = ConfigDict(strict=True, allow_inf_nan=False, protected_namespaces=())
    schema: type[BaseModel] = create_model(name, __config__=config, **fields)
    try:
        return dict(schema.model_validate(dict(given)))
    except ValidationError as error:
        problems: dict[str, list[Any]] = {}  # a union of types reports once for each of its members
        for e in error.errors():
            problems.setdefault(str(e["loc"][0]), []).append(e)
        raise UserError(
            "\n".join(f"{where}.{option}: {reasons(found)}" for option, found in problems.items())
        ) from None
