"""A round loop on stock Flower's own send_and_receive, which notes how long each round took."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    config = context.run_config
    while len(list(grid.get_node_ids())) < int(config["nodes"]):
        time.sleep(0.5)
    seconds: list[float] = []
    weights = np.zeros(int(config["coordinates"]))
    for _ in range(int(config["rounds"])):
        began = time.monotonic()
        content = RecordDict({"weights": ArrayRecord({"values": Array(weights)})})
        messages = [
            Message(content, dst_node_id=node, message_type="query.round") for node in grid.get_node_ids()
        ]
        replies = [reply for reply in grid.send_and_receive(messages, timeout=300.0) if reply.has_content()]
        if len(replies) != int(config["nodes"]):
            raise RuntimeError(f"{len(replies)} replies")
        total = sum(reply.content["contribution"]["values"].numpy() for reply in replies)
        weights = weights + total.astype(np.float64) / 2**64
        seconds.append(time.monotonic() - began)
        marks = Path(str(config["marks"]))
        part = marks.with_suffix(".part")
        part.write_text(json.dumps(seconds), encoding="utf-8")
        part.replace(marks)
