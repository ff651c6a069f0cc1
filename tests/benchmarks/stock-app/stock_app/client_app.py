"""A node of stock Flower that imports what a node of ours imports, and answers with as many numbers."""

from __future__ import annotations

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

import safeborders_fed.node.participant  # noqa: F401 - what ours has imported when a message comes

app = ClientApp()


@app.query("round")
def answer(message: Message, context: Context) -> Message:
    received = message.content["weights"]["values"].numpy()
    masked = np.random.default_rng(context.node_id).integers(0, 2**63, len(received), dtype=np.uint64)
    return Message(RecordDict({"contribution": ArrayRecord({"values": Array(masked)})}), reply_to=message)
