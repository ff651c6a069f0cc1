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
# ## Victims by year, as released
# Rounded; `NaN` is suppressed, not zero. `notebooks/trends.py` reads the released tables themselves.

# %%
tables = summary["tables"]
print(tables["release"], tables["file"])
print(pd.Series(tables["years"], dtype="Int64").to_string())
print("95% margin of a year:", tables["margins"]["year"])
