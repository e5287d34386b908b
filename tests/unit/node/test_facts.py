"""What a document says of its node is what the agent reads, nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from generator.description import tutorial
from generator.documents import agent, user_data
from tests import facts as projects

from .conftest import FACTS


def test_every_fact_is_read_by_the_agent(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(tutorial.description("orderbook", "k8s-1.36"))
    plan = projects.load(file).plan
    for node in plan.nodes:
        document = {str(file.path): file.content for file in user_data.files(plan, node)}
        facts = json.loads(document["/etc/hardway/node.json"])
        assert facts.keys() == FACTS.keys(), "the tests of the agent give it what a document does"
        sources = b"".join(agent.files().values()).decode()
        unread = [fact for fact in facts if f'["{fact}"]' not in sources and f"['{fact}']" not in sources]
        assert unread == []
