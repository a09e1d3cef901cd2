"""Templates of the scenario material: `{slot.field|filter}` filled from slots and results."""

import re

PLACEHOLDER = re.compile(r"\{(\??)([A-Za-z_]\w*(?:\.[\w-]+)*)(?:\|(\w+))?\}")
ABSENT = object()
MAIN_FIELDS = ("path", "name", "id")


class Gap(Exception):
    """A placeholder has nothing to stand for in this row."""


class Unseen(Gap):
    """Every text on offer speaks of what the model has not seen."""


class Entity(dict):
    """Fields of something in the vault; as text it is its path or name."""

    def __str__(self):
        return str(plain(self))


def plain(value):
    """The value with every entity replaced by its path or name, for arguments and text."""
    if isinstance(value, Entity):
        named = next((value[field] for field in MAIN_FIELDS if field in value), None)
        return plain(dict(value)) if named is None else named
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def path_fields(path):
    """Title, name and folder of a vault path."""
    folder, _, name = path.rstrip("/").rpartition("/")
    return {
        "path": path,
        "name": name,
        "title": name.rsplit(".", 1)[0] if "." in name[1:] else name,
        "folder": folder,
        "parent": folder,
        "folder_name": folder.rpartition("/")[2],
    }


def step_into(value, part):
    """The field of a mapping, the item of a list, or a path's title, name or folder."""
    if isinstance(value, dict):
        return value.get(part, ABSENT)
    if isinstance(value, list) and part.lstrip("-").isdigit():
        number = int(part)
        return value[number] if -len(value) <= number < len(value) else ABSENT
    if isinstance(value, str):
        return path_fields(value).get(part, ABSENT)
    return ABSENT


def look_up(scope, dotted):
    """The value a dotted name stands for, or ABSENT."""
    value = scope
    for part in dotted.split("."):
        value = step_into(value, part)
        if value is ABSENT:
            return ABSENT
    return value


# Ids, paths, commands and names from code, which keep their small first letter: sortBy, imagen-4, a/b.md, app:reload.
NO_WORD = re.compile(r"[a-z]+(?:[A-Z_/@#+]|[.][a-z])\w|[a-z-]*\d|[a-z-]+:\S")


def sentence_case(text):
    """The text with a capital at its start, unless it starts with an id."""
    return text if NO_WORD.match(text) else text[:1].upper() + text[1:]


NAMED = 6  # names of a list that an answer gives at most


def name_some(records):
    """The names of a list of records, the first few of a long one."""
    fields = ("name", "title", "path", "filePath", "model")
    found = [str(next((item[field] for field in fields if field in item), "")) for item in records]
    if len(found) > NAMED:
        return ", ".join(found[: NAMED - 1]) + " and others"
    return " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)


FILTERS = {
    "lower": lambda value: str(value).lower(),
    "capital": lambda value: sentence_case(str(value)),
    "first": lambda value: value[0] if isinstance(value, list) and value else str(value).split("\n")[0],
    "last": lambda value: value[-1] if isinstance(value, list) and value else str(value).split("\n")[-1],
    "count": lambda value: len(value) if isinstance(value, (list, dict)) else len(str(value).splitlines()),
    "join": lambda value: ", ".join(map(str, value)) if isinstance(value, list) else str(value),
    "names": lambda value: name_some(value),
    "bare": lambda value: str(value).strip().rstrip(".!?"),
}


def resolve(scope, match):
    """The plain value of one placeholder; raises Gap when there is none and it is not optional."""
    optional, dotted, filter_name = match.groups()
    value = look_up(scope, dotted)
    if value is ABSENT or value is None:
        if optional:
            return ABSENT
        raise Gap(dotted)
    value = plain(value)
    if filter_name:
        if filter_name not in FILTERS:
            raise Gap(f"{dotted}|{filter_name}")
        value = FILTERS[filter_name](value)
    return value


def as_text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(as_text(item) for item in value)
    return str(value)


def fill_text(template, scope):
    """The template as text, every placeholder replaced."""

    def replace(match):
        value = resolve(scope, match)
        return "" if value is ABSENT else as_text(value)

    return PLACEHOLDER.sub(replace, str(template))


def filled_values(template, scope):
    """The texts that fill_text would put into a template."""
    values = (resolve(scope, match) for match in PLACEHOLDER.finditer(str(template)))
    return [as_text(value) for value in values if value is not ABSENT]


def fill(template, scope):
    """The template with its type: a lone placeholder keeps its value's, absent optionals vanish."""
    if isinstance(template, str):
        whole = PLACEHOLDER.fullmatch(template)
        return resolve(scope, whole) if whole else fill_text(template, scope)
    if isinstance(template, list):
        return [item for item in (fill(entry, scope) for entry in template) if item is not ABSENT]
    if isinstance(template, dict):
        filled = {key: fill(entry, scope) for key, entry in template.items()}
        return {key: value for key, value in filled.items() if value is not ABSENT}
    return template


def names_in(template):
    """The first names (slots, results) a template speaks of."""
    if isinstance(template, str):
        return {match.group(2).split(".")[0] for match in PLACEHOLDER.finditer(template)}
    if isinstance(template, dict):
        template = list(template.values())
    if isinstance(template, list):
        return set().union(*map(names_in, template)) if template else set()
    return set()


def keys_too(value):
    """A JSON value with the keys of its mappings among its items, for names_in."""
    if isinstance(value, dict):
        return [*value, *map(keys_too, value.values())]
    return [keys_too(item) for item in value] if isinstance(value, list) else value
