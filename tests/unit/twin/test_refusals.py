"""Slots that the device plugin refuses, containers that ask for some, and how both are told."""

from __future__ import annotations

import io
from typing import Any, cast

import pytest
from rich.console import Console

from tests.unit.twin.cluster import Cluster
from twin.plan import Model
from twin.play.agent.admission import Admission
from twin.play.agent.knative import busy_until
from twin.play.device_plugin import Offer
from twin.prices import played
from twin.status import Report, show
from twin.view import View, requested, view

SHARED = "nvidia.com/gpu.shared"
SINGLE = Offer({SHARED: 3}, one_at_most=frozenset({SHARED}))


def container(**slots: int) -> dict[str, Any]:
    return {"resources": {"limits": {f"nvidia.com/{name}": str(number) for name, number in slots.items()}}}


class Server(Cluster):
    """The cluster as the agent sees it, and what it writes there."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[dict[str, Any]] = []

    def all(self, kind: str) -> list[dict[str, Any]]:
        return self.objects[kind]

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        return next((o for o in self.objects[kind] if o["metadata"]["name"] == name), None)

    def patch(self, obj: dict[str, Any], change: dict[str, Any], *, subresource: str) -> None:
        assert subresource == "status"
        obj["status"].update(change["status"])

    def create(self, obj: dict[str, Any]) -> None:
        self.said.append(obj)

    def seen(self) -> View:
        nodes, claims, pods, events = (self.objects[kind] for kind in ("Node", "NodeClaim", "Pod", "Event"))
        return view(played("us-east-1"), nodes, claims, pods, events)


def admission(server: Server, offer: Offer = SINGLE) -> Admission:
    return Admission(cast(Any, server), cast(Any, server), lambda _: offer)


def test_a_pod_of_two_slots_fails_in_the_plugins_and_the_kubelets_words() -> None:
    server = Server()
    node = server.node("mps-a")
    server.pod("two-0", node, "two", slots=2)
    server.pod("one-0", node, "one", slots=1)
    server.pod("waits-0", owner="waits", slots=2)
    admission(server).tick()
    failed = {pod["metadata"]["name"]: pod["status"] for pod in server.all("Pod")}
    assert {name: status["phase"] for name, status in failed.items()} == {
        "two-0": "Failed", "one-0": "Running", "waits-0": "Pending"
    }  # fmt: skip
    assert failed["two-0"]["reason"] == "UnexpectedAdmissionError"
    assert failed["two-0"]["message"] == (
        "Pod was rejected: Allocate failed due to rpc error: code = Unknown desc = invalid allocation request for "
        f'"{SHARED}": invalid request: maximum request size for shared resources is 1; found 2, which is unexpected'
    )
    (event,) = server.said
    assert (event["type"], event["reason"], event["involvedObject"]["name"]) == (
        "Warning", "UnexpectedAdmissionError", "two-0"
    )  # fmt: skip


@pytest.mark.parametrize("offer", [Offer({SHARED: 3}), Offer({SHARED: 3}, one_at_most=frozenset({"nvidia.com/gpu"}))])
def test_a_plugin_that_gives_several_refuses_none(offer: Offer) -> None:
    server = Server()
    server.pod("two-0", server.node("mps-a"), "two", slots=2)
    admission(server, offer).tick()
    assert server.all("Pod")[0]["status"]["phase"] == "Running"


def test_one_slot_for_each_of_two_containers_is_no_request_for_two() -> None:
    """The plugin is asked for each container."""
    server = Server()
    server.pod("two-0", server.node("mps-a"), "two")
    server.all("Pod")[0]["spec"]["containers"] *= 2
    admission(server).tick()
    assert server.all("Pod")[0]["status"]["phase"] == "Running"
    assert server.seen().nodes[0].used_slots == 2


def test_what_kwok_writes_over_a_refusal_is_refused_again() -> None:
    server = Server()
    server.pod("two-0", server.node("mps-a"), "two", slots=2)
    agent = admission(server)
    agent.tick()
    server.all("Pod")[0]["status"]["phase"] = "Running"
    agent.tick()
    assert server.all("Pod")[0]["status"]["phase"] == "Failed"


@pytest.mark.parametrize(
    ("spec", "slots"),
    [
        ({"containers": [{}, container(gpu=1)]}, 1),
        ({"containers": [container(gpu=1), container(gpu=2)]}, 3),
        ({"containers": [container(gpu=1)], "initContainers": [container(gpu=3), container(gpu=2)]}, 3),
        ({"containers": [container(gpu=1)], "initContainers": [container(gpu=1) | {"restartPolicy": "Always"}]}, 2),
        ({"containers": [{}]}, 0),
    ],
)
def test_all_containers_of_a_pod_count(spec: dict[str, Any], slots: int) -> None:
    assert requested({"spec": spec}) == ("nvidia.com/gpu" if slots else "", slots)


# --- How it is told ---------------------------------------------------------------------------------------------------


def shown(seen: View, width: int, *, terminal: bool = True) -> str:
    out = io.StringIO()
    report = Report(
        stack="local", running=True, run=None, processes={}, stray={}, view=seen, usd=0.5, prices="", unfinished=""
    )
    show(report, Console(file=out, width=width, highlight=False, force_terminal=terminal, no_color=True))
    return out.getvalue()


@pytest.mark.parametrize("markup", ["[red]", "[/]", "[bold red on blue]no[/]", "[link=x]", "\\[x"])
def test_markup_in_what_somebody_wrote_is_text(markup: str) -> None:
    server = Server()
    server.pod("waits-0", owner="waits", reason=f"0/3 nodes {markup} are available")
    server.pod("two-0", server.node("mps-a"), "two", slots=2)
    admission(server).tick()
    server.all("Pod")[1]["status"]["message"] = f"refused {markup}"
    text = shown(server.seen(), 200)
    assert f"waits: models/waits-0: 0/3 nodes {markup} are available" in text
    assert f"refused: models/two-0: refused {markup}" in text


def test_refused_pods_of_one_owner_are_told_once() -> None:
    server = Server()
    node = server.node("mps-a")
    for number in range(5):
        server.pod(f"two-{number}", node, "two", slots=2)
    admission(server).tick()
    assert "refused: models/two-4 and 4 more of two: Pod was rejected: Allocate failed" in shown(server.seen(), 200)


def test_who_sits_where_is_shown_at_80_columns_and_in_a_pipe() -> None:
    server = Server()
    node = server.node("time-slicing-abcde", pool="time-slicing", slots=12)
    for number in range(9):
        server.pod(f"model-with-a-name-{number}-0", node, f"model-with-a-name-{number}")
    narrow, pipe = shown(server.seen(), 80), shown(server.seen(), 10_000, terminal=False)
    assert max(map(len, narrow.splitlines())) <= 80
    assert "    us-east-1a, USD 0.402/h: model-with-a-name-0, model-with-a-name-1" in narrow
    (line,) = (line for line in pipe.splitlines() if line.startswith("time-slicing-abcde "))
    assert line.endswith("model-with-a-name-7, model-with-a-name-8")
    assert "9 of 12" in line


# --- A clock that was off ---------------------------------------------------------------------------------------------


def test_a_request_from_a_clock_that_was_ahead_keeps_no_model_awake() -> None:
    model = Model(name="m", namespace="models", template={}, window=60)
    for asked, until in ((990.0, 1050.0), (1000.0 + 90_000, 0.0), (0.0, 0.0)):
        found = {"metadata": {"annotations": {"gpu-slices/last-request": f"{asked}"}}}
        assert busy_until(model, found, 1000.0) == until
