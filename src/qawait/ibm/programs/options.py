"""Options of a primitive, by mapping or as IBM's own objects: checked before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, get_args

from qawait import limits
from qawait.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qawait.ibm.programs.program import Choice

_OBJECTS: Final[tuple[tuple[str, Choice], ...]] = (
    ("qiskit_ibm_runtime.options_models", "executor"),
    ("qiskit_ibm_runtime.options", "legacy"),
)
_CHOICES: Final[tuple[Choice, ...]] = ("executor", "legacy")


def chosen(program: Choice | None, options: Any) -> Choice:
    """Return the program to use: the one asked for, that of the options object, or the default.

    Raises:
        ConfigError: if there is no such program, or the options are the other's.
    """
    if program is not None and program not in _CHOICES:
        known = " or ".join(map(repr, _CHOICES))
        near = nearest(program, _CHOICES)
        raise ConfigError(f"program must be {known}, not {program!r:.60}{near}")
    of_object = _choice_of(options)
    if program is not None and of_object not in (None, program):
        raise ConfigError(
            f"the options are a {type(options).__module__}.{type(options).__name__}, which the "
            f"program {of_object!r} takes and not {program!r}"
        )
    return program or of_object or limits.DEFAULT_PROGRAM


def _choice_of(options: Any) -> Choice | None:
    """Return whose options an object holds, told without importing anything."""
    module = type(options).__module__
    for package, choice in _OBJECTS:
        if module == package or module.startswith(f"{package}."):
            return choice
    return None


def what_is_set(options: Any, kind: str) -> Any:
    """Return an options object of IBM's legacy kind as a mapping of what is set in it.

    Anything else is returned as it is, with such objects in a mapping made mappings.

    Raises:
        ConfigError: if it is an object of another kind than the one of this name.
    """
    if is_dataclass(options) and type(options).__name__ != kind:
        raise ConfigError(f"the options should be {kind}, not {type(options).__name__}")
    return _set_in(options)


def _set_in(options: Any) -> Any:
    if is_dataclass(options):
        options = {one.name: getattr(options, one.name) for one in fields(options)}
    if not isinstance(options, Mapping):
        return options
    return {
        name: _set_in(value)
        for name, value in options.items()
        if type(value).__name__ != "UnsetType" and name != "_VERSION"
    }


def as_mapping(options: Any) -> dict[str, Any]:
    """Return a copy of options given as a mapping, with every mapping in it a dictionary.

    Raises:
        ConfigError: if they are no mapping, or a name in them is no text.
    """
    if not isinstance(options, Mapping):
        raise ConfigError(f"options should be a mapping, not {type(options).__name__}")
    copied = {}
    for name, value in options.items():
        if not isinstance(name, str):
            raise ConfigError(f"an option's name is text, not {name!r:.60}")
        copied[name] = as_mapping(value) if isinstance(value, Mapping) else value
    return copied


def group(options: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a group of options, empty if it is not there.

    Raises:
        ConfigError: if it is no mapping.
    """
    found = options.get(name)
    if not isinstance(found, Mapping | None):
        raise ConfigError(f"{name} should be a mapping, not {found!r:.60}")
    return found or {}


def check_names(given: Mapping[str, Any], model: Any, what: str, *, within: str = "") -> None:
    """Make sure that options have names that a pydantic model has, at every level.

    `what` names in the error what has these options.

    Raises:
        ConfigError: if one has not, with the nearest that there is.
    """
    known = model.model_fields
    for name, value in given.items():
        if name not in known:
            raise unknown_option(what, name, known, within=within)
        inner = _inner_model(known[name].annotation)
        if inner is not None and isinstance(value, Mapping):
            check_names(value, inner, what, within=f"{within}{name}.")


def unknown_option(what: str, name: str, known: Iterable[str], *, within: str = "") -> ConfigError:
    """Return the error for an option that is none, with the nearest one that there is."""
    names = sorted(known)
    full, where = f"{within}{name}", f"{within[:-1]} has" if within else "it has"
    return ConfigError(
        f"the {what} has no option {full!r:.100}{nearest(name, names, within=within)}; "
        f"{where} {', '.join(names)}"
    )


def nearest(name: object, known: Iterable[str], *, within: str = "") -> str:
    """Return a question whether the nearest of the known names was meant, or nothing."""
    close = get_close_matches(str(name), list(known), n=1)
    return f" (did you mean {within + close[0]!r}?)" if close else ""


def _inner_model(annotation: Any) -> Any | None:
    """Return the model of a group of options, or `None` for a single value."""
    if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
        return annotation
    models = [model for part in get_args(annotation) if (model := _inner_model(part)) is not None]
    return models[0] if len(models) == 1 else None


def refused(error: Exception, what: str) -> ConfigError:
    """Return the error for values that a pydantic model refuses."""
    details = getattr(error, "errors", None)
    if not callable(details):
        return ConfigError(f"this is not what the {what} takes: {error!s:.200}")
    problems = "; ".join(
        f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in details()
    )
    return ConfigError(f"this is not what the {what} takes: {problems:.500}")
