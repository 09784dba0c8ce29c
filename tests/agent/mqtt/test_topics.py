from asd_agent.mqtt.topics import Topics


def test_topics_are_those_of_the_contract() -> None:
    topics = Topics("factory", "press-07")
    assert topics.anomaly == "factory/press-07/anomaly"
    assert topics.status == "factory/press-07/status"
    assert topics.info == "factory/press-07/info"
    assert topics.health == "factory/press-07/health"
    assert topics.bundle_desired == "factory/press-07/bundle/desired"
    assert topics.bundle_state == "factory/press-07/bundle/state"
    assert topics.member("00ff") == "factory/bundles/00ff"
    assert topics.state("gearbox") == "factory/press-07/gearbox/state"
    assert topics.spectrum("gearbox") == "factory/press-07/gearbox/spectrum"


def test_root_may_have_several_levels() -> None:
    assert Topics("plant/hall-2", "a").anomaly == "plant/hall-2/a/anomaly"
