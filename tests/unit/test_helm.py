"""The Helm chart: it lints, its manifests are valid Kubernetes 1.34, and wrong values are refused."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from fleet.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "eventfleet"
AGENTS = {"router", "aggregator", "normalizer"}
KUBERNETES = "1.34"
CHANGED: dict[str, Any] = {
    "fullnameOverride": "claims",
    "image": {"repository": "images/eventfleet", "tag": "2.0.0"},
    "imagePullSecrets": ["pull"],
    "secretNames": ["broker-credentials"],
    "settings": {"bootstrapServers": "kafka-0:9092,kafka-1:9092", "replicationFactor": 2},
    "agents": {"router": {"replicas": 5, "port": 9000}},
    "podDisruptionBudget": {"maxUnavailable": "25%"},
    "serviceAccount": {"annotations": {"team": "claims"}},
    "networkPolicy": {"enabled": True, "ingressFrom": [{"namespaceSelector": {}}]},
    "podAnnotations": {"team": "claims"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "stream", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
}


def render(values: dict[str, Any] | None = None, *, name: str = "eventfleet") -> list[dict[str, Any]]:
    """Render the chart and return its Kubernetes documents."""
    with helm_python.Chart.load(CHART) as chart:
        rendered = chart.render(values, name=name, namespace="events")
    manifests = [text for path, text in rendered.items() if not path.endswith("NOTES.txt")]
    return [document for text in manifests for document in yaml.safe_load_all(text) if document]


def of_kind(documents: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """Return the documents of one kind by name."""
    return {d["metadata"]["name"]: d for d in documents if d["kind"] == kind}


def worker(deployment: dict[str, Any]) -> dict[str, Any]:
    """Return the one container of a deployment's pod."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def environment(container: dict[str, Any]) -> dict[str, Any]:
    """Return the literal environment variables of a container."""
    return {entry["name"]: entry.get("value") for entry in container["env"]}


def test_chart_lints_without_warning() -> None:
    """`helm lint --strict` finds nothing above the level of information."""
    report = helm_python.lint(CHART, strict=True, kube_version=f"v{KUBERNETES}.0")
    assert report["errors"] == []
    assert [m for m in report["messages"] if m["severity"] > 1] == []


@pytest.mark.parametrize("values", [None, CHANGED], ids=["default", "changed"])
def test_every_manifest_is_valid_kubernetes(values: dict[str, Any] | None) -> None:
    """Each document passes the strict schemas of the API, unknown fields included."""
    documents = render(values)
    assert len(documents) >= 11
    for document in documents:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_strict_validation_sees_an_unknown_field() -> None:
    """The check above is not blind: a misspelt field is refused."""
    document = next(d for d in render() if d["kind"] == "Deployment")
    document["spec"]["replicass"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="replicass"):
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


@pytest.mark.parametrize("kind", ["Deployment", "Service", "PodDisruptionBudget"])
def test_each_agent_has_its_own(kind: str) -> None:
    """Every agent is deployed, addressed and protected alone, and its selector names it alone."""
    named = of_kind(render(), kind)
    assert set(named) == {f"eventfleet-{agent}" for agent in AGENTS}
    for name, document in named.items():
        selector = document["spec"]["selector"]
        labels = selector if kind == "Service" else selector["matchLabels"]
        assert labels["app.kubernetes.io/component"] == name.removeprefix("eventfleet-")


def test_worker_command_port_and_probes() -> None:
    """A pod runs `eventfleet worker <name>` and is probed on the port that it is told to serve."""
    for name, deployment in of_kind(render(), "Deployment").items():
        agent = name.removeprefix("eventfleet-")
        container = worker(deployment)
        (port,) = container["ports"]
        assert container["command"] == ["eventfleet", "worker", agent]
        assert environment(container)[f"EVENTFLEET_{agent.upper()}_PORT"] == str(port["containerPort"])
        paths = {probe: container[probe]["httpGet"]["path"] for probe in container if probe.endswith("Probe")}
        assert paths == {
            "startupProbe": "/health/live",
            "livenessProbe": "/health/live",
            "readinessProbe": "/health/ready",
        }


def test_canonical_url_is_the_pods_own() -> None:
    """Workers forward queries to each other by pod address: a service address would reach a random pod."""
    for deployment in of_kind(render(), "Deployment").values():
        container = worker(deployment)
        port = container["ports"][0]["containerPort"]
        assert environment(container)["NODE_CANONICAL_URL"] == f"http://$(POD_IP):{port}"
        assert container["env"][0] == {
            "name": "POD_IP",
            "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}},
        }


def test_every_variable_is_a_setting() -> None:
    """No variable of the chart is one that the processes do not read."""
    documents = render()
    names = set(of_kind(documents, "ConfigMap")["eventfleet"]["data"])
    for deployment in of_kind(documents, "Deployment").values():
        names |= {name for name in environment(worker(deployment)) if name.startswith("EVENTFLEET_")}
    assert names <= {f"EVENTFLEET_{field.upper()}" for field in Settings.model_fields}


def test_config_map_is_accepted_by_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rendered configuration parses to the values that were set."""
    for name, value in of_kind(render(CHANGED), "ConfigMap")["claims"]["data"].items():
        monkeypatch.setenv(name, value)
    read = Settings()
    assert read.kafka == "kafka-0:9092,kafka-1:9092"
    assert read.replication_factor == 2
    assert read.session_timeout_s == 10.0
    assert read.log_json is True


def test_service_links_are_off() -> None:
    """Kubernetes would set EVENTFLEET_ROUTER_PORT=tcp://... for the service of a release named eventfleet."""
    for deployment in of_kind(render(), "Deployment").values():
        assert deployment["spec"]["template"]["spec"]["enableServiceLinks"] is False


def test_pods_run_without_privileges() -> None:
    """Pods meet the restricted Pod Security Standard and write to their scratch volumes only."""
    for deployment in of_kind(render(), "Deployment").values():
        pod = deployment["spec"]["template"]["spec"]
        container = worker(deployment)
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts == {environment(container)["EVENTFLEET_DATA_DIR"], "/tmp"}  # noqa: S108  # a pod's own


def test_a_changed_setting_rolls_the_pods() -> None:
    """Another configuration gives another pod template, so the pods are replaced and read it."""

    def checksum(values: dict[str, Any]) -> str:
        deployment = of_kind(render(values), "Deployment")["eventfleet-router"]
        return str(deployment["spec"]["template"]["metadata"]["annotations"]["checksum/config"])

    assert checksum({"settings": {"logLevel": "DEBUG"}}) != checksum({"settings": {"logLevel": "INFO"}})


def test_changed_values_arrive() -> None:
    """What an operator sets is what the manifests say."""
    documents = render(CHANGED)
    deployment = of_kind(documents, "Deployment")["claims-router"]
    pod = deployment["spec"]["template"]["spec"]
    assert deployment["spec"]["replicas"] == 5
    assert worker(deployment)["image"] == "images/eventfleet:2.0.0"
    assert {"secretRef": {"name": "broker-credentials"}} in worker(deployment)["envFrom"]
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert pod["nodeSelector"] == {"disk": "ssd"}
    assert of_kind(documents, "Service")["claims-router"]["spec"]["ports"][0]["port"] == 9000
    assert of_kind(documents, "PodDisruptionBudget")["claims-router"]["spec"]["maxUnavailable"] == "25%"
    assert len(of_kind(documents, "NetworkPolicy")["claims"]["spec"]["ingress"][0]["from"]) == 2


def test_parts_that_are_switched_off_are_absent() -> None:
    """Optional kinds vanish, and the pods then use the namespace's default service account."""
    documents = render({"serviceAccount": {"create": False}, "podDisruptionBudget": {"enabled": False}})
    assert {d["kind"] for d in documents} == {"ConfigMap", "Deployment", "Service"}
    for deployment in of_kind(documents, "Deployment").values():
        assert deployment["spec"]["template"]["spec"]["serviceAccountName"] == "default"


def test_long_release_name_stays_within_a_dns_label() -> None:
    """Names of all resources fit the 63 characters that Kubernetes allows for a service."""
    assert all(len(d["metadata"]["name"]) <= 63 for d in render(name="r" * 53))


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"agents": {"router": {"replicas": -1}}}, "/agents/router/replicas"),
        ({"agents": {"router": {"replicas": "two"}}}, "/agents/router/replicas"),
        ({"agents": {"rooter": {"replicas": 1}}}, "rooter"),
        ({"agents": {"router": {"resources": {"requests": {"memory": "lots"}}}}}, "/memory"),
        ({"settings": {"bootstrapServers": "kafka"}}, "/settings/bootstrapServers"),
        ({"settings": {"registryUrl": "http://user:secret@registry"}}, "/settings/registryUrl"),
        ({"terminationGracePeriodSeconds": 1}, "/terminationGracePeriodSeconds"),
        ({"imagee": {}}, "imagee"),
    ],
)
def test_wrong_value_is_refused(values: dict[str, Any], where: str) -> None:
    """The values schema names the wrong value before anything is rendered."""
    with pytest.raises(helm_python.HelmValuesError, match=where):
        render(values)


def test_notes_name_commands_for_this_release() -> None:
    """The notes after an install are rendered for the release that was installed."""
    with helm_python.Chart.load(CHART) as chart:
        notes = chart.render(CHANGED, name="r", namespace="events")["eventfleet/templates/NOTES.txt"]
    assert "service/claims-aggregator" in notes
    assert "EVENTFLEET_BOOTSTRAP_SERVERS=kafka-0:9092,kafka-1:9092" in notes


def test_app_version_is_the_projects() -> None:
    """The chart runs the version that it is kept beside."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    with helm_python.Chart.load(CHART) as chart:
        assert chart.metadata["appVersion"] == project["version"]
