"""Let an oracle read: what a project's figures promise, and what choosing saves, on images whose labels are known.

The same code runs as with people. Half of the patients are kept out of the archive: on them it is measured what the
models are truly worth.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("project", type=Path, help="a project, or its settings as a YAML file")
    parser.add_argument("--oracle", required=True, help="the labels: a folder, a CSV or phantom:COUNT")
    parser.add_argument("--seeds", type=int, default=5, help="projects of each strategy (default: %(default)s)")
    parser.add_argument("-n", type=int, default=300, help="answers of each (default: %(default)s)")
    parser.add_argument("--error", type=float, default=0.0, help="share of wrong answers (default: %(default)s)")
    parser.add_argument("--every", type=int, default=10, help="answers between two looks (default: %(default)s)")
    parser.add_argument("--strategies", help="which to compare (default: the project's, and random)")
    parser.add_argument("--out", type=Path, help="a CSV with every look")


def call(options: argparse.Namespace) -> None:
    from al_cxr.config.layers import read_layer
    from al_cxr.core.drafts import write_atomically
    from al_cxr.core.errors import UserError
    from al_cxr.core.outputs import must_be_ours
    from al_cxr.core.progress import Progress
    from al_cxr.data.sources.named import named_source
    from al_cxr.labelling.settings import project_settings, read_settings
    from al_cxr.labelling.simulate import oracle_of, simulate
    from al_cxr.labelling.simulated import look_table, summary_lines

    if not 0 <= options.error < 1 or min(options.seeds, options.n, options.every) < 1:
        raise UserError("--error is a share below 1; --seeds, -n and --every are 1 or more")
    if options.out is not None:
        must_be_ours(options.out, lambda path: path.read_bytes().startswith(b"strategy,seed,answers,"))
    if options.project.is_file():
        settings = project_settings(read_layer(options.project).data, str(options.project))
    else:
        settings = read_settings(options.project)
    oracle = oracle_of(named_source(options.oracle).read(), settings.classes)
    named = options.strategies.split(",") if options.strategies else [settings.acquisition.strategy, "random"]
    runs, seen = [], None
    total = len(dict.fromkeys(named)) * options.seeds * options.n
    with Progress(total, "simulating", "answers") as bar:
        for strategy in dict.fromkeys(named):
            own = settings.acquisition.options if strategy == settings.acquisition.strategy else {}
            acquisition = settings.acquisition.model_copy(update={"strategy": strategy, "options": own})
            arm = settings.model_copy(update={"acquisition": acquisition})
            for seed in range(options.seeds):
                run, seen = simulate(arm, oracle, seed, options.n, options.error, options.every, seen, bar.update)
                runs.append(run)
    print("\n".join(summary_lines(runs, settings.goal)))
    if options.out is not None:
        write_atomically(options.out, look_table(runs).to_csv(index=False, lineterminator="\n").encode())
        print(f"looks     {options.out}")
