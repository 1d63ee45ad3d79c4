"""``slide-rs tune``: better hash tables for a trained model."""

from __future__ import annotations

import json
from argparse import Namespace

from slide_rs import checks, commands, datasets, document, model_file, tuning
from slide_rs.ensemble import Ensemble

__all__ = ["run"]


def run(arguments: Namespace) -> int:
    """Search on the first network, give what was found to all of them, save."""
    checks.number("--recall", arguments.recall, above=0.0, below=1.0)
    checks.number("--time-limit", arguments.time_limit, above=0.0)
    checks.whole("--seed", arguments.seed, 0, 2**64 - 1)
    if arguments.max_active is not None:
        checks.whole("--max-active", arguments.max_active, 1, checks.MOST)
    if arguments.out:
        commands.check_out(arguments.out)
    model = model_file.read(arguments.model, arguments.threads)
    members = model.members if isinstance(model, Ensemble) else (model,)
    data = datasets.read_xmc(arguments.data)
    width = model.config.input.in_features
    names = None if arguments.families is None else arguments.families.split(",")
    found = tuning.autotune(
        members[0],
        commands.widened(data.X, width, arguments.data, "features"),
        arguments.recall,
        arguments.max_active,
        time_limit=arguments.time_limit,
        families=names,
        seed=arguments.seed,
    )
    if arguments.out:
        for member in members:
            member.set_sampler(found.sampler)
        model.save(arguments.out)
    if not arguments.json:
        print(found)
        return 0
    told = {
        "recall": found.recall,
        "target_recall": found.target_recall,
        "n_active": found.n_active,
        "table_bytes": found.table_bytes,
        "tried": len(found.tried),
        "tables": document.tables_fields(found.sampler.tables),
    }
    print(json.dumps(told))
    return 0
