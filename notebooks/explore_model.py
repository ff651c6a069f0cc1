# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A released model: its card and its curves
#
# `SAFEBORDERS_MODEL` names a model file (`NAME-VERSION.safetensors`); without it, the first one in the
# directory of the demonstration is taken. Nothing else is read: all of it was published with the model.

# %%
import os
from pathlib import Path

import numpy as np
import pandas as pd

from safeborders_fed.cases.encoding import bin_names
from safeborders_fed.privacy.products import Indicators
from safeborders_fed.reporting.accuracy import UNKNOWN
from safeborders_fed.reporting.figures import TOO_LITTLE, count_of
from safeborders_fed.study import model_file

demo = Path(os.environ.get("SAFEBORDERS_DEMO", "demo"))
path = os.environ.get("SAFEBORDERS_MODEL") or min(demo.rglob(f"*{model_file.SUFFIX}"), default=None)
if path is None:
    raise SystemExit("no model file: run `safeborders demo`, or set SAFEBORDERS_MODEL")
model = model_file.load(Path(path))
facts = model.head.facts

# %% [markdown]
# ## The card
# Counts carry the 95% margin of their noise.

# %%
card = {
    "model": str(model.head.id),
    "SHA-256": model.sha256,
    "kind": model.head.kind,
    "label": facts["target"],
    "population": facts["population"],
    "study": model.head.study,
    "made on": model.head.created,
    "data contract": model.head.contract_version,
    "persons trained on": count_of(facts["labelled_noisy"], facts["counts_error"]).plain,
    "with the label": count_of(facts["positives_noisy"], facts["counts_error"]).plain,
    "features": ", ".join(facts["features"]),
}
print(pd.Series(card).to_string())

# %% [markdown]
# ## Accuracy on persons that never trained
# The area under the ROC curve with its 95% margin (noise and sampling), overall and by group. A group without
# an area had too little data to tell. Counts carry the 95% margin of the noise.

# %%
evaluation = facts["evaluation"]
if evaluation is None:
    print("The study measured no accuracy: it held nobody out.")
else:
    measured = {("overall", ""): evaluation["overall"]}
    for partition, groups in evaluation["groups"].items():
        measured |= {(partition, group): found for group, found in groups.items()}
    accuracy = pd.DataFrame(
        {
            place: {
                "persons": count_of(found["victims"], found["victims_error"]).plain,
                "positives": count_of(found["positives"], found["positives_error"]).plain,
                "area": TOO_LITTLE if found["auc"] is None else f"{found['auc']:.3f} ± {found['margin']:.3f}",
            }
            for place, found in measured.items()
        }
    ).T
    print(accuracy.to_string())
if not model.accuracy_known:
    print(UNKNOWN)

# %% [markdown]
# ## Calibration
# For each score bin, the share of positives that the calibrated score predicts and the one observed. On a
# well calibrated model they agree within the margin.

# %%
if evaluation is not None:
    bins = pd.DataFrame(evaluation["reliability"]).astype(float)
    print(bins[["low", "high", "victims", "predicted", "observed", "margin"]].round(3).to_string())
    print({name: round(value, 3) for name, value in facts["calibration"].items()})

# %% [markdown]
# ## ROC curve
# From the same bins: of those with and without the label, the share that scores above each edge. Bins that
# cannot be told from their noise count as empty.

# %%
if evaluation is not None:
    share = bins["observed"].fillna(0.0)
    counts = bins["victims"].where(bins["observed"].notna(), 0.0)
    found, lost = (counts * share)[::-1].cumsum(), (counts * (1 - share))[::-1].cumsum()
    curve = pd.DataFrame(
        {
            "scores above": bins["low"][::-1],
            "false positives": lost / max(lost.iloc[-1], 1.0),
            "true positives": found / max(found.iloc[-1], 1.0),
        }
    )
    print(curve.round(3).to_string(index=False))

# %% [markdown]
# ## What moves a score
# For each value, how much higher the log-odds are than with the field at its centre, for a record in which
# all other fields are not known: the twelve largest, among values that at least one victim in a hundred has.

# %%
fields = model.analysis.column_fields()
names = [f"{entry.label}: {name}" for entry, _ in fields for name in bin_names(entry)]
base = np.zeros(len(names), dtype=np.int64)
for _, columns in fields:
    base[columns.stop - 1] = 1  # the last column of a field is "not known"
records = np.tile(base, (len(names), 1))
for _, columns in fields:
    for column in range(columns.start, columns.stop):
        records[column, columns] = 0
        records[column, column] = 1
slices = [columns for _, columns in fields]
explained = model.analysis.learner.explain(model.arrays, Indicators(records), slices)
position = [index for index, columns in enumerate(slices) for _ in range(columns.stop - columns.start)]
added = pd.Series(explained[np.arange(len(names)), position], index=names)
frequent = added[model.arrays["centre"] >= 0.01]
print(frequent.reindex(frequent.abs().sort_values(ascending=False).index)[:12].round(2).to_string())
