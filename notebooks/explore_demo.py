# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # What the demonstration released
#
# Run `safeborders demo` first; this notebook reads `demo/summary.json`, nothing else.

# %%
import json
import os
from pathlib import Path

import pandas as pd

summary = json.loads((Path(os.environ.get("SAFEBORDERS_DEMO", "demo")) / "summary.json").read_text("utf-8"))

# %% [markdown]
# ## What it cost

# %%
print(pd.Series(summary["study"]).to_string())

# %% [markdown]
# ## Detection: area under the ROC curve on held-out persons
# `alone` is a node's own model without privacy; what `federated` lacks against the pooled model is the
# price of privacy.

# %%
areas = pd.DataFrame(summary["auc"]["own_records"]).T
areas["alone, on all records"] = pd.Series(summary["auc"]["alone"])
print(areas.round(3).to_string())
print({name: summary["auc"][name] for name in ("federated", "pooled_without_privacy", "bayes_optimum")})

# %% [markdown]
# ## Victims by year and form, with the standard error of a cell

# %%
tables = summary["tables"]
counts = pd.DataFrame(
    [[sum(ages) for ages in year] for year in tables["counts"]],
    index=tables["years"],
    columns=tables["forms"],
)
print(counts.round().astype(int).to_string())
print("standard error of a year and form:", round(tables["standard_errors"]["year x form"], 1))
