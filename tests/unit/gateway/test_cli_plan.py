"""`crofai plan`: what it reads, what it prints and writes, and how it refuses."""

import csv
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from gateway.cli.main import app
from gateway.planning import workload
from gateway.planning.pools import Arrivals, Pool
from shared.ledger import Ledger
from tests.factories import make_usage

runner = CliRunner()

pytestmark = pytest.mark.usefixtures("gateway")

HOUR = 3600.0


def plan(*arguments: str) -> Result:
    return runner.invoke(app, ["plan", *arguments])


def used(model: str = "llama3", *, count: int = 30, begin: float = 1_790_000_000.0) -> list[dict[str, Any]]:
    """Rows of a model that is asked something each minute."""
    return [
        {
            "model": model,
            "created": begin + 60 * number,
            "begun": begin + 60 * number + 1,
            "ended": begin + 60 * number + 20,
        }
        for number in range(count)
    ]


@pytest.fixture
def usage(tmp_path: Path) -> Path:
    file = tmp_path / "usage.json"
    file.write_text(json.dumps(used() + used("llama3.3-70b", count=1)))
    return file


def record(data_dir: Path, *ages: float, model: str = "llama3") -> None:
    now = time.time()
    ledger = Ledger(f"sqlite:///{data_dir / 'crofai.db'}")
    ledger.record(
        [
            make_usage(f"{model} {age}", model=model, created=now - age, begun=now - age + 1, ended=now - age + 9)
            for age in ages
        ]
    )


def test_it_plans_from_the_servers_ledger(data_dir: Path) -> None:
    record(data_dir, 60.0, 120.0, 3 * 86_400.0)
    record(data_dir, 90.0, model="mistral-7b-instruct")
    result = plan("--gpus", "4", "--json")
    assert result.exit_code == 0, result.output
    models = json.loads(result.stdout)["models"]
    assert [(each["model"], each["requests"]) for each in models] == [("llama3", 3), ("mistral-7b-instruct", 1)]
    assert all((each["promised"], each["gpus"]) == (False, 1) for each in models)


def test_it_looks_back_as_far_as_it_is_told(data_dir: Path) -> None:
    record(data_dir, 60.0, 2 * HOUR)
    models = json.loads(plan("--gpus", "4", "--since", "1h", "--json").stdout)["models"]
    assert models[0]["requests"] == 1


def test_it_reads_more_than_a_page(data_dir: Path) -> None:
    record(data_dir, *(float(age) for age in range(10, 1310)))
    assert json.loads(plan("--gpus", "4", "--json").stdout)["models"][0]["requests"] == 1300


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_it_reads_what_a_spreadsheet_writes(tmp_path: Path, separator: str) -> None:
    file = tmp_path / "usage.txt"
    head = ["model", "created", "begun", "ended"]
    rows = [head, ["LLAMA3", "2026-11-28T12:00:00Z", "", "2026-11-28T12:00:09Z"]]
    file.write_text("\r\n".join(separator.join(row) for row in rows), encoding="utf-8-sig")
    [model] = json.loads(plan("--gpus", "1", "--usage", str(file), "--json").stdout)["models"]
    assert (model["model"], model["requests"]) == ("llama3", 1)


def test_a_row_that_is_wrong_is_named_with_its_file(tmp_path: Path) -> None:
    file = tmp_path / "usage.csv"
    file.write_text("model,created,begun,ended\nllama3,1,1,2\nllama3,now,1,2\n")
    assert plan("--gpus", "1", "--usage", str(file)).stderr.startswith(
        f"crofai: {file}: row 2: created: should be"
    )


@pytest.mark.parametrize("option", ["--values", "--save"])
def test_what_cannot_be_written_is_told_at_once(tmp_path: Path, option: str) -> None:
    result = plan("--gpus", "1", option, str(tmp_path / "nothing" / "file"))
    assert (result.exit_code, "cannot be written: there is no folder" in result.stderr) == (1, True)
    assert "it is a folder" in plan("--gpus", "1", option, str(tmp_path)).stderr


def test_unknown_models_alone_are_no_plan(tmp_path: Path) -> None:
    file = tmp_path / "usage.json"
    file.write_text(json.dumps(used("gone")))
    result = plan("--gpus", "1", "--usage", str(file))
    assert (result.exit_code, "no model of the catalogue was used" in result.stderr) == (1, True)


def test_without_usage_there_is_no_plan() -> None:
    result = plan("--gpus", "4")
    assert result.exit_code == 1
    assert result.stderr == "crofai: there is no usage in that time to plan from. See: crofai usage\n"


def test_the_table_has_the_reasons(usage: Path) -> None:
    result = plan("--gpus", "8", "--usage", str(usage), "--promise", "llama3-8b")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["model", "GPUs", "each", "requests", "min", "max", "factor", "why"]
    assert lines[1].split()[:4] == ["llama3", "1", "30", "1"]
    assert "a start takes 61 s, so 1 stays" in lines[1]
    assert lines[2].split()[:4] == ["llama3.3-70b", "2", "1", "0"]
    assert "not promised, so none stays" in lines[2]
    assert lines[3].startswith("1 of 8 GPUs are held at least")


def test_values_are_written(usage: Path, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    result = plan("--gpus", "8", "--usage", str(usage), "--promise", "llama3", "--values", str(file))
    assert result.stderr == f"written: {file}\n"
    models = yaml.safe_load(file.read_text())["models"]
    assert models["llama3"]["autoscaling"]["min"] == 1
    assert models["llama3.3-70b"]["autoscaling"]["max"] >= 1


def test_a_promised_model_is_planned_without_usage(usage: Path) -> None:
    result = plan("--gpus", "9", "--usage", str(usage), "--promise", "llama3.1-405b", "--json")
    large = next(each for each in json.loads(result.stdout)["models"] if each["model"] == "llama3.1-405b")
    assert (large["min"], large["requests"], large["why"]) == (1, 0, "promised, so one stays; no request came")


def test_a_tiers_models_are_promised(usage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiers = tmp_path / "tiers.yaml"
    tiers.write_text(yaml.safe_dump({"tiers": {"free": {"models": ["tinyllama"]}}}))
    monkeypatch.setenv("CROFAI_TIERS_FILE", str(tiers))
    models = json.loads(plan("--gpus", "8", "--usage", str(usage), "--json").stdout)["models"]
    assert [each["model"] for each in models if each["promised"]] == ["tinyllama"]


def test_start_up_times_may_be_given(usage: Path) -> None:
    models = json.loads(plan("--gpus", "8", "--usage", str(usage), "--startup", "llama3=12.5", "--json").stdout)[
        "models"
    ]
    assert {each["model"]: each["startup"] for each in models} == {"llama3": 12.5, "llama3.3-70b": 115}


def test_what_was_read_can_be_kept_and_read_again(data_dir: Path, tmp_path: Path) -> None:
    record(data_dir, 60.0, 120.0)
    kept = tmp_path / "kept.json"
    first = plan("--gpus", "4", "--save", str(kept), "--json")
    assert plan("--gpus", "4", "--usage", str(kept), "--json").stdout == first.stdout


def test_usage_may_be_a_table_or_the_apis_answer(usage: Path, tmp_path: Path) -> None:
    rows = json.loads(usage.read_text())
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]))
    table.writeheader()
    table.writerows(rows)
    (tmp_path / "usage.csv").write_text(text.getvalue())
    (tmp_path / "answer.json").write_text(json.dumps({"object": "list", "data": rows}))
    said = {
        plan("--gpus", "8", "--usage", str(tmp_path / name), "--json").stdout
        for name in ("usage.json", "usage.csv", "answer.json")
    }
    assert len(said) == 1
    assert json.loads(said.pop())["models"][0]["requests"] == 30


def test_a_model_that_left_the_catalogue_is_told_of(tmp_path: Path) -> None:
    file = tmp_path / "usage.json"
    file.write_text(json.dumps(used() + used("gone", count=1)))
    result = plan("--gpus", "8", "--usage", str(file), "--json")
    assert "gone was used, and is no model of the catalogue: not planned" in result.stderr
    assert [each["model"] for each in json.loads(result.stdout)["models"]] == ["llama3"]


def test_a_recorded_time_is_planned_from_its_first_half_and_tried_on_its_second(usage: Path) -> None:
    result = plan("--gpus", "8", "--usage", str(usage), "--simulate", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["models"][0]["requests"] == 15
    policies = {each["policy"]: each for each in found["simulation"]}
    assert list(policies) == [
        "plan",
        "autoscaler alone",
        "fixed, for the mean",
        "fixed, for the peak",
        "hindsight",
        "hindsight, as prompt",
    ]
    assert policies["plan"]["to_hindsight"] >= 1


def test_a_made_up_week_is_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up = Shorter()
    monkeypatch.setattr("gateway.cli.planning.workload", made_up)
    monkeypatch.setattr("gateway.cli.planning.WEEK", made_up.LENGTH)
    result = plan("--gpus", "40", "--simulate", "--week", "viral", "--seed", "5")
    assert result.exit_code == 0, result.output
    assert made_up.asked == [("skewed", 5), ("viral", 6)]
    assert "hindsight, as prompt" in result.stdout


class Shorter:
    """Made-up weeks of an hour, with two models."""

    WEEKS = workload.WEEKS
    LENGTH = HOUR
    MODELS = ("llama3.1-8b", "llama3")

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def fleet(self) -> dict[str, Pool]:
        return {model: pool for model, pool in workload.fleet().items() if model in self.MODELS}

    def generate(self, kind: workload.Week, seed: int) -> dict[str, Arrivals]:
        self.asked.append((kind, seed))
        week = workload.generate(kind, seed, requests=3000)
        short = {
            model: [each for each in zip(*week[model], strict=True) if each[0] < HOUR] for model in self.MODELS
        }
        return {
            model: Arrivals([comes for comes, _ in jobs], [service for _, service in jobs])
            for model, jobs in short.items()
        }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "soon"), "--since should be such as 36h, 7d or 4w, and at most 365d, got 'soon'"),
        (("--since", "99w"), "--since should be such as 36h, 7d or 4w, and at most 365d, got '99w'"),
        (("--usage", "none.json"), "none.json: cannot be read: No such file or directory"),
        (("--promise", "lama3"), "unknown model 'lama3': did you mean"),
        (("--startup", "llama3"), "--startup should be such as llama3=90, in seconds, got 'llama3'"),
        (("--startup", "lama3=9"), "unknown model 'lama3': did you mean"),
        (
            ("--promise", "llama3.1-405b"),
            "one replica of each promised model takes 8 GPUs, and there are 4: promise fewer",
        ),
        (("--week", "skewed"), "--week makes usage up: give it with --simulate, and without --usage and --save"),
        (("--simulate", "--week", "odd"), "--week makes usage up"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(usage: Path, arguments: tuple[str, ...], said: str) -> None:
    given = arguments if "--since" in arguments or "--usage" in arguments else ("--usage", str(usage), *arguments)
    result = plan("--gpus", "4", *given)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"crofai: {said}")
    assert len(result.stderr.splitlines()) == 1


def test_a_week_of_no_kind_is_refused() -> None:
    result = plan("--gpus", "4", "--simulate", "--week", "odd")
    assert result.stderr == "crofai: --week should be one of skewed, bursty, viral, got 'odd'\n"


@pytest.mark.parametrize("text", ["no JSON", '{"object": "list"}', "[1]", "7", '[{"model": "llama3"}]'])
def test_a_file_that_is_no_usage_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "usage.json"
    file.write_text(text)
    result = plan("--gpus", "4", "--usage", str(file))
    assert result.exit_code == 1
    assert result.stderr.startswith("crofai: ")
    assert len(result.stderr.splitlines()) == 1
