# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Published tables: from a release to a chart of one's own
#
# `SAFEBORDERS_TABLES` names released tables (`STUDY-VERSION.tables.json`, with the statement of their
# release beside them); without it, those of the demonstration are taken. Withdrawn or altered tables are not
# read. The chart needs the extra: `pip install 'safeborders-fed[report]'`.

# %%
import os
from pathlib import Path

import altair as alt
import pandas as pd

from safeborders_fed.reporting import exports, reading
from safeborders_fed.reporting.codes import label_of
from safeborders_fed.study.table_file import SUFFIX

demo = Path(os.environ.get("SAFEBORDERS_DEMO", "demo"))
path = os.environ.get("SAFEBORDERS_TABLES") or min(demo.rglob(f"released/*{SUFFIX}"), default=None)
if path is None:
    raise SystemExit("no released tables: run `safeborders demo`, or set SAFEBORDERS_TABLES")
released = reading.read(Path(path))
tables = released.loaded.tables
print(released.citation)

# %% [markdown]
# ## Which tables there are
# Counts are rounded to multiples of the base. Those below the floor of their table are suppressed, and
# further ones from which these would follow.

# %%
print(
    pd.DataFrame(
        {
            "cells": [len(table.cells) for table in tables.tables],
            "suppressed": [table.cells.count(None) for table in tables.tables],
            "95% margin": [table.margin for table in tables.tables],
        },
        index=[table.name for table in tables.tables],
    ).to_string()
)

# %% [markdown]
# ## One of them, as a table with its intervals
# `NaN` is a suppressed count: it is not a zero, and not small for certain.

# %%
by_time = [table for table in tables.tables if [axis.name for axis in table.axes] in (["year"], ["quarter"])]
chosen = by_time[0]
rows = list(exports.rows_of(chosen))
axis = chosen.axes[0].name
counts = pd.DataFrame(
    {
        "count": [row.value for row in rows],
        "lower": [row.lower for row in rows],
        "upper": [row.upper for row in rows],
    },
    index=pd.Index([label_of(axis, row.codes[axis]) for row in rows], name=axis),
).astype("Float64")
print(counts.to_string())

# %% [markdown]
# ## A chart of one's own
# The interval is drawn with the count: without it a chart says more than the numbers do.

# %%
data = counts.astype("float64").reset_index()
base = alt.Chart(data, title=f"Victims by {axis}: {tables.id}").encode(x=alt.X(axis, title=axis.capitalize()))
intervals = base.mark_rule(color="#595959").encode(y=alt.Y("lower", title="Victims"), y2="upper")
points = base.mark_point(color="#0072B2", filled=True).encode(y="count")
out = Path(os.environ.get("SAFEBORDERS_CHART", f"{tables.id}.svg"))
(intervals + points).save(out)
print(f"Chart: {out}")
