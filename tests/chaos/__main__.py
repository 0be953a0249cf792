"""`make chaos ARGS="--seed 7 --duration 600"`: exit status 0 if everything held, 1 with histories if not."""

import argparse
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.report import show
from tests.chaos.run import run
from tests.chaos.schedule import FAULTS, Schedule
from tests.chaos.subject import SIMULATED, VLLM


def main() -> int:
    args = _arguments()
    subject = VLLM if args.vllm else SIMULATED
    rate = args.rate or subject.rate
    schedule = Schedule(subject, args.seed, args.duration, args.faults, rate, args.away)
    named = "" if args.faults == FAULTS else f" --faults {','.join(args.faults)}"
    vllm = " --vllm" if args.vllm else ""
    away = "" if args.away is None else f" --away {args.away:g}"
    again = f"--seed {args.seed} --duration {args.duration:g} --rate {rate:g}{named}{away}{vllm}"
    print(f'replay: make chaos ARGS="{again}"\n')
    print(*schedule.strikes, "", sep="\n", flush=True)
    folder = args.keep or Path(tempfile.mkdtemp(prefix="crofai-chaos-"))
    found = run(schedule, folder)
    print(show(found))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    if found["violations"]:
        print(f'\nlogs: {folder}\nreplay: make chaos ARGS="{again}"', file=sys.stderr)
        return 1
    if not args.keep:
        shutil.rmtree(folder)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="default: another each time")
    parser.add_argument("--duration", type=float, default=120, help="seconds")
    parser.add_argument("--faults", type=_faults, default=FAULTS, help=f"some of {','.join(FAULTS)}")
    parser.add_argument("--rate", type=float, help="faults of processes a minute; default: 20, or 3 on vLLM")
    parser.add_argument(
        "--away", type=float, metavar="SECONDS", help="for which the database is stopped each time"
    )
    parser.add_argument("--vllm", action="store_true", help="a real model, on fewer workers and for fewer clients")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the results there")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the processes' logs go")
    return parser.parse_args()


def _faults(text: str) -> tuple[str, ...]:
    names = tuple(name for name in text.split(",") if name)
    for name in names:
        if name not in FAULTS:
            raise argparse.ArgumentTypeError(f"'{name}' is none of {', '.join(FAULTS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
