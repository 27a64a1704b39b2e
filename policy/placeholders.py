"""What stands in a text where another tool fills in a value later: `{{ .Values.x }}`, `${var.x}`, `$(params.x)`.

Whatever is filled in may be anything, so a value that is a placeholder, or a word with one in it (`${family}.xlarge`),
is not known. A sentence, a command, a document or a reference (`ollama/ollama:${tag}`) with one in it stays a text:
whoever reads it judges what is there.

Forms by their sources: Go templates, Jinja and Argo's `{{ }}`, CloudFormation's `{{resolve:...}}`; Terraform, Flux, kro
and shells' `${ }`; Kubernetes, Tekton and Azure Pipelines' `$( )`; Harness' `<+ >`; Terraform's `%{ }`; CodePipeline
and Octopus' `#{ }`; CircleCI's `<< >>`; ERB's `<% %>`; Concourse's `(( ))`; Nomad's `[[ ]]`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from policy.reading import Unknown

#: An action ends before another begins: what is never closed is not read to the end of the text again and again.
GO: Final = re.compile(r"\{\{(?:(?!\{\{).)*?\}\}", re.DOTALL)
#: IAM's policy variables are texts of AWS' own (IAM User Guide, Policy variables), not places to fill.
DOLLAR: Final = re.compile(
    r"\$\{(?!(?:aws|cognito-identity\.amazonaws\.com|ec2|iam|iot|redshift|s3|saml|sns|sts|transfer|www\.amazon\.com):\w"
    r"|[*?$]\})[^{}]{0,300}\}"
)
#: A variable of a shell without braces.
SHELL: Final = re.compile(r"\$([A-Za-z_]\w*)")
_FORMS: Final = (
    GO.pattern,
    DOLLAR.pattern,
    r"\$\((?!\()[^()\n]{0,300}\)",
    r"<\+[^<>\n]{1,300}>",
    r"%\{[^{}\n]{1,300}\}",
    r"#\{[^{}\n]{1,300}\}",
    r"<<\s*[\w.]{1,100}\s*>>",
    r"<%[^%\n]{1,300}%>",
    r"\(\([\w./:-]{1,100}\)\)",
    r"\[\[\s*[\w.$ ]{1,100}\]\]",
)
PLACEHOLDER: Final = re.compile("|".join(_FORMS), re.DOTALL)
#: A word of which a part is filled in: no quotes, spaces or braces around it, as in commands, prose and documents.
#: What is known of a reference (an image, an ARN, a path) or of a type by its family (`g5.${size}`) still tells.
_WORD: Final = re.compile(
    rf"\s*[\w+,-]*(?:(?:{PLACEHOLDER.pattern})[\w.+,*-]*)+\s*"
    rf"|[\d.:a-f]*(?:{PLACEHOLDER.pattern})[\d.:a-f]*/\d+|[\d.:a-f]+/(?:{PLACEHOLDER.pattern})",
    re.DOTALL,
)
#: A variable alone, as envsubst and shells read it.
_VARIABLE: Final = re.compile(r"\s*\$[A-Za-z_]\w*\s*")
#: What every form has: most values are plain, and this is the quickest to ask.
_MARK: Final = re.compile(r"[{$<%(\[][{(+<%\[\w]")
#: Longer values are documents or programs.
_LONGEST: Final = 2_000

#: Words of a command line, each of which is a text of its own; whoever reads commands joins them.
_WORDS: Final = frozenset({"command", "args"})


def is_placeholder(value: str) -> bool:
    """Whether a value is filled in elsewhere, as a whole or in part."""
    if _MARK.search(value) is None or len(value) > _LONGEST:
        return False
    return _WORD.fullmatch(value) is not None or _VARIABLE.fullmatch(value) is not None


def without_placeholders(value: Any) -> Any:
    """Plain data in which values that are filled in elsewhere are `Unknown`; the same object where there are none."""
    return value if all_known(value) else _replaced(value, "")


def all_known(value: Any) -> bool:
    """Whether plain data have no value that is not known and no placeholder: of most the answer is quickly yes."""
    try:
        return _IN_JSON.search(json.dumps(value, default=_other)) is None
    except ValueError:  # of a number that Python refuses to write
        return False


def _other(value: object) -> str:
    return "${}" if isinstance(value, Unknown) else ""


#: The beginning of any form, also in JSON, which has few of these itself.
_IN_JSON: Final = re.compile(r"\{\{|\$[\w({]|<\+|[%#]\{|<<|<%|\(\(|\[\[")


def _replaced(value: Any, path: str) -> Any:
    if isinstance(value, str):
        return Unknown(path or "it") if is_placeholder(value) else value
    if isinstance(value, Mapping):
        return _of_mapping(value, path)
    if isinstance(value, list):
        elements = [_replaced(one, f"{path}.{index}".lstrip(".")) for index, one in enumerate(value)]
        return value if all(map(_same, elements, value)) else elements
    return value


def _of_mapping(value: Mapping[str, Any], path: str) -> Any:
    found: dict[str, Any] = {}
    for key, element in value.items():
        words = key in _WORDS and isinstance(element, list)
        text = isinstance(element, str)
        own = text and ((key == "value" and _handed_on(value.get("name"), element, path)) or _is_template(key, element))
        found[key] = element if words or own else _replaced(element, f"{path}.{key}".lstrip("."))
    return value if all(map(_same, found.values(), value.values())) else found


def _is_template(key: str, element: str) -> bool:
    """Whether a setting is a template by its name, of names that its owner makes: `domain-template` of Knative."""
    return _TEMPLATES.search(key) is not None and PLACEHOLDER.fullmatch(element.strip()) is None


_TEMPLATES: Final = re.compile(r"(template|format|pattern)$", re.IGNORECASE)
#: What a pipeline of Argo or Tekton takes from elsewhere in itself.
_INSIDE: Final = re.compile(
    r"\{\{\s*(inputs|outputs|workflow|steps|tasks|item)\b[^{}]*\}\}|\$\((params|tasks|context|workspaces)\b[^()]*\)"
)
_OF_MACHINES: Final = re.compile(r"type|famil|instance|capacity|spot|node|machine", re.IGNORECASE)


def _handed_on(name: Any, element: str, path: str) -> bool:
    """Whether a named value is of the same object: other variables of a container, parameters between steps.

    What says of machines is not known all the same, for it may come from outside in the end.
    """
    if not isinstance(name, str) or _OF_MACHINES.search(name):
        return False
    return ".env." in path or _INSIDE.fullmatch(element) is not None


def _same(one: Any, other: Any) -> bool:
    return one is other


#: An option, a variable or a field that names what kind of machine is started, and what is filled in for it.
_MACHINE: Final = re.compile(
    rf"(?:instance|node|machine)[-_]?types?[\"']?\s*[=: ,]\s*[\"'\[]*(?P<given>{PLACEHOLDER.pattern}|\$\w+)",
    re.IGNORECASE | re.DOTALL,
)


def machine_filled_in(command: str) -> str | None:
    """What is filled in as the type of the machines that a command starts; None if none is, or the text itself says it.

    A shell's variable that the same text sets is as visible as the text.
    """
    for found in _MACHINE.finditer(command):
        variable = re.fullmatch(r"\$\{?(\w+)\}?", found["given"])
        if variable is None or not re.search(rf"\b{variable[1]}=", command):
            return found["given"]
    return None


def filled(value: Any, engine: re.Pattern[str], path: str = "") -> Any:
    """Plain data in which every text with what an engine fills in is `Unknown`, also sentences and documents."""
    if isinstance(value, str):
        return Unknown(path or "it") if engine.search(value) else value
    if isinstance(value, Mapping):
        return {key: filled(element, engine, f"{path}.{key}".lstrip(".")) for key, element in value.items()}
    if isinstance(value, list):
        return [filled(element, engine, f"{path}.{index}".lstrip(".")) for index, element in enumerate(value)]
    return value
