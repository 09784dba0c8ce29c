"""The broker goes away at each step, and comes back in the end."""

import threading

from asd_agent.mqtt.publisher import Publisher
from asd_agent.update.report import Report
from faults.plant import NEW, Plant
from faults.table import STEPS, row
from support.broker import Mosquitto, Subscriber, wait_for
from support.bundles import GOLDEN
from support.running import Watched, push


def lose_broker(plant: Plant, step: str) -> None:
    """Push by a real broker that ends at a step; it is away until all is done."""
    if step == "self-test":
        plant.test_bundles()
    folder = plant.build(NEW, 2)
    broker = Mosquitto(plant.device.folder)
    plant.monkeypatch.setattr(Publisher, "_delay_s", lambda *_: 0.05)
    plant.config = plant.configure(mqtt=broker.port)
    broker.start()
    try:
        with plant.running() as service:
            stop_at(broker, service, step)
            push(broker, folder, without=frozenset({GOLDEN} if step == "fetch" else ()))
            if step == "fetch":
                wait_for(lambda: _fetching(service), "it is begun")
                broker.stop()
                broker.start()
                push(broker, folder)
            wait_for(plant.settled, "the commit", 20)
            if step != "fetch":
                wait_for(lambda: broker._process is None, "the broker ends")
                broker.start()
            with Subscriber(broker.port, "factory/press-07/bundle/state") as told:
                wait_for(lambda: _newest(told) == "committed", "it is told", 20)
    finally:
        broker.stop()


def _fetching(service: Watched) -> bool:
    last = service._remote._last if service._remote else None
    return last is not None and (last.id, last.state) == (NEW, "downloading")


def _newest(subscriber: Subscriber) -> str | None:
    found = [message.json()["state"] for message in subscriber.messages]
    return found[-1] if found else None


def stop_at(broker: Mosquitto, service: Watched, step: str) -> None:
    """End the broker when a step is reported."""
    if step == "fetch":
        return
    assert service._remote
    updates = service._remote._updates
    tell = updates.tell
    lost = threading.Event()

    def telling(report: Report) -> None:
        at = "trial" if report.step == "trial" and report.windows else report.step
        if (report.id, at) == (NEW, step) and not lost.is_set():
            lost.set()
            broker.stop()
        tell(report)

    updates.tell = telling  # type: ignore[method-assign]


def _broker_rows() -> None:
    for step in STEPS:

        def act(plant: Plant, step: str = step) -> None:
            lose_broker(plant, step)

        says = "it comes back" if step == "fetch" else "until all is done"
        row("broker lost", step, says, runs=NEW, told="committed")(act)


_broker_rows()
