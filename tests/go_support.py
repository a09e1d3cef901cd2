"""Templates and data that Go itself has rendered (fixtures/go_template/expected.json), to check our reading of them."""

import json
import subprocess
from pathlib import Path

from lib import ollama
from lib.parity_cases import TOOLS, asked, called, cases, said
from lib.templates import as_shipped, template_for
from tests.template_support import original

FOLDER = Path(__file__).parent / "fixtures" / "go_template"
VALUES = {
    "numbers": [7, -7, 0, 1.5, 7.0, 1e20, 1e21, 1.25e30, 1e-6, 1.5e-7, 2**53 + 1, 1731072000000],
    "text": 'tab\t quote" back\\slash <é> 日本 🦙 \x00\x7f\xa0\u200d\u2028 e\u0301',
    "none": None,
    "yes": True,
    "map": {"z": 1, "a": {"deep": [[], {}, ""]}},
}
DATA = ollama.data_of([{"role": "system", "content": "Ada"}, asked("Hi"), called("f", **VALUES), said("Done.")], TOOLS)
SYNTAX = {
    "trim": "a  {{- .System -}}  b {{ .System }} c\n{{- /* gone */ -}}\n d {{-  .System  -}} \t\n e",
    "if": '{{ if .Response }}1{{ else if eq .System "Ada" }}2{{ else }}3{{ end }}{{ if .Tools }}4{{ end }}',
    "else if chain": '{{ if .Response }}1{{ else if eq .System "" }}2{{ else if .Tools }}3{{ else }}4{{ end }}5',
    "if in else": "{{ if .Response }}1{{ else }}{{ if .Tools }}2{{ end }}3{{ end }}4",
    "logic": '{{ if and .Tools (or .Response .System) }}{{ or .Response .System "x" }}{{ end }}{{ and "" .System }}',
    "range": "{{ range $i, $tool := .Tools }}{{ if $i }}, {{ end }}{{ $tool.Function.Name }}{{ end }}",
    "range of nothing": "{{ range .Messages }}<{{ .Role }}>{{ range .ToolCalls }}x{{ else }}none{{ end }}{{ end }}",
    "range with one name": "{{ range $message := .Messages }}{{ $message.Role }} {{ .Content }};{{ end }}",
    "types": '{{ $key }}:{{ printf "%T" $value }} ',
    "json": '{{ if eq $key "numbers" }}{{ range $value }}{{ json . }} {{ end }}{{ end }}',
    "nil and yes": '{{ if eq $key "none" }}{{ json . }}{{ end }}{{ if eq $key "yes" }}{{ json $value }}{{ end }}',
    "quoted": '{{ if eq $key "text" }}{{ printf "%q" $value }}{{ end }}',
    "variables": '{{ $x := "1" }}{{ range .Tools }}{{ $x = printf "%s-%s" $x .Function.Name }}{{ end }}{{ $x }}',
    "scopes": '{{ $x := "1" }}{{ if .Tools }}{{ $x := "2" }}{{ $x }}{{ end }}{{ $x }}{{ if ne $x "2" }}4{{ end }}',
    "define": '{{ define "t" }}<{{ . }}{{ $ }}>{{ end }}{{ template "t" .System }}{{ template "t" "x" }}{{ $.System }}',
    "strings": '{{ printf "%s\\n%q" "a\\t\\"b\\" }}" "c" }}',
}  # fmt: skip
SHOWN = (
    "plain",
    "quotes",
    "JSON",
    "system, after a result",
    "second request",
    "all kinds of values",
    "words before a call",
    "two calls in a turn",
)


def jobs() -> dict[str, dict]:
    """name -> template and data; Ollama's data for each family of templates that we ship."""
    found = {}
    for name, text in SYNTAX.items():
        each = "{{ range .Messages }}{{ range .ToolCalls }}{{ range $key, $value := .Function.Arguments }}"
        whole = f"{each}{text}{'{{ end }}' * 3}" if "$key" in text else text
        found[name] = {"template": whole, "data": DATA}
    for family in ("ours", "mistral_v03", "qwen2_5", "qwen3", "llama3_2"):
        for mode in ("none", "names"):
            jinja = template_for(mode) if family == "ours" else as_shipped(original(family), mode)
            for case in cases():
                if case.name in SHOWN:
                    data = ollama.data_of(case.messages, TOOLS)
                    found[f"{family}, {mode}: {case.name}"] = {"template": ollama.template_text(jinja), "data": data}
    return found


def rendered_by_go() -> dict[str, str]:
    """name -> what the Go of this machine makes of each job."""
    command = ["go", "run", str(FOLDER / "render.go")]
    return json.loads(
        subprocess.run(command, input=json.dumps(jobs()), capture_output=True, text=True, check=True).stdout
    )


if __name__ == "__main__":
    (FOLDER / "expected.json").write_text(json.dumps(rendered_by_go(), ensure_ascii=False, indent=1) + "\n", "utf-8")
