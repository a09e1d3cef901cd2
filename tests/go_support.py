"""Templates and data that Go itself has rendered (fixtures/go_template/expected.json), to check our reading of them."""

import json
import subprocess
from pathlib import Path

from lib import ollama
from lib.parity_cases import TOOLS, cases
from lib.templates import as_shipped, template_for
from tests.template_support import original

FOLDER = Path(__file__).parent / "fixtures" / "go_template"
DATA = {
    "Name": "Ada",
    "Empty": "",
    "Yes": True,
    "None": None,
    "Number": 7,
    "Items": ["a", "b", "c"],
    "Nothing": [],
    "Map": {"z": 1, "a": {"deep": [1.5, "x<y", None]}},
}
SYNTAX = {
    "trim": "a  {{- .Name -}}  b {{ .Name }} c\n{{- /* gone */ -}}\n d",
    "if": "{{ if .Empty }}1{{ else if .Yes }}2{{ else }}3{{ end }}{{ if not .Nothing }}4{{ end }}",
    "else if chain": '{{ if .Empty }}1{{ else if .Nothing }}2{{ else if eq .Name "Bob" }}3{{ else }}4{{ end }}5',
    "logic": "{{ if and .Yes (or .Empty .Name) }}{{ or .Empty .Name }}{{ end }}{{ and .Empty .Name }}",
    "equal to any": '{{ eq .Name "x" "Ada" }}{{ eq .Name "x" }}',
    "range": "{{ range $i, $item := .Items }}{{ if $i }}, {{ end }}{{ $item }}{{ end }}",
    "range of nothing": "{{ range .Nothing }}x{{ else }}none{{ end }}",
    "range over a map": "{{ range $key, $value := .Map }}{{ $key }}={{ json $value }};{{ end }}",
    "variables": '{{ $x := .Name }}{{ range .Items }}{{ $x = printf "%s-%s" $x . }}{{ end }}{{ $x }}{{ $.Number }}',
    "scopes": "{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}",
    "with": "{{ with .Map }}{{ .z }}{{ end }}{{ with .Empty }}no{{ else }}yes{{ end }}",
    "define": '{{ define "t" }}<{{ . }}>{{ end }}{{ template "t" .Name }}{{ range .Items }}{{ template "t" . }}{{ end }}',  # noqa: E501
    "pipes": '{{ .Name | printf "%q" }}{{ len .Items }}',
    "numbers": '{{ if eq (len (slice .Items 1)) 2 }}two{{ end }}{{ if ne .Name "x" }}other{{ end }}',
    "types": '{{ range $key, $value := . }}{{ $key }}:{{ printf "%T" $value }} {{ end }}',
    "quotes": '{{ printf "%q" "tab\\t quote\\" back\\\\slash é 日本 🦙" }}{{ `raw {{ text` }}',
    "printing": "{{ .Yes }}{{ .Number }}{{ json .Map }}{{ print .Name .Name }}",
}
SHOWN = (
    "plain",
    "quotes",
    "JSON",
    "system, after a result",
    "second request",
    "all kinds of values",
    "two calls in a turn",
)


def jobs() -> dict[str, dict]:
    """name -> template and data; Ollama's data for each family of templates that we ship."""
    found = {name: {"template": text, "data": DATA} for name, text in SYNTAX.items()}
    for family in ("ours", "mistral_v03", "qwen2_5", "qwen3", "llama3_2"):
        for mode in ("none", "names"):
            jinja = template_for(mode) if family == "ours" else as_shipped(original(family), mode)
            for case in cases():
                if case.name in SHOWN:
                    data = ollama.data_of(case.messages, TOOLS)
                    found[f"{family}, {mode}: {case.name}"] = {"template": ollama.template_text(jinja), "data": data}
    return found


if __name__ == "__main__":
    command = ["go", "run", str(FOLDER / "render.go")]
    done = subprocess.run(command, input=json.dumps(jobs()), capture_output=True, text=True, check=True)
    (FOLDER / "expected.json").write_text(done.stdout, encoding="utf-8")
