"""The Kubernetes manifests: right by the published schemas, restricted, and in step with the application."""

import shutil
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app import __version__
from app.config import Settings
from app.main import create_app
from tests.deploy.compose import ROOT, compose

FOLDER = ROOT / "deploy" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
FILES = KUSTOMIZATION["resources"]
OBJECTS: list[dict[str, Any]] = [
    each for file in FILES for each in yaml.safe_load_all((FOLDER / file).read_text())
]


def named(kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in OBJECTS if each["kind"] == kind}


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in ("Deployment", "Job"):
        for name, each in named(kind).items():
            yield name, each["spec"]["template"]


@pytest.mark.parametrize("each", OBJECTS, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_the_schemas_accept_it(each: dict[str, Any]):
    for version in ("1.29", kubernetes_validate.latest_version()):
        kubernetes_validate.validate(each, version, strict=True)


def test_every_file_is_listed():
    assert set(FILES) | {"kustomization.yaml"} == {file.name for file in FOLDER.glob("*.yaml")}


@pytest.mark.parametrize(("name", "pod"), list(pods()))
def test_pods_meet_the_restricted_standard(name: str, pod: dict[str, Any]):
    spec = pod["spec"]
    assert spec["securityContext"]["runAsNonRoot"] and spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    for container in spec["containers"]:
        context = container["securityContext"]
        assert not context["allowPrivilegeEscalation"] and context["readOnlyRootFilesystem"]
        assert context["capabilities"]["drop"] == ["ALL"]
        assert container["resources"]["limits"]["memory"] and container["resources"]["requests"]["cpu"]


def test_probes_ask_what_the_api_answers():
    paths = {getattr(route, "path", "") for route in create_app(Settings(_env_file=None)).routes}
    paths |= create_app(Settings(_env_file=None)).openapi()["paths"].keys()
    for _, pod in [each for each in pods() if each[0] == "api"]:
        for container in pod["spec"]["containers"]:
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert container[probe]["httpGet"]["path"] in paths


def test_commands_are_those_of_compose():
    services = compose()["services"]
    for ours, theirs in (("api", "app"), ("worker", "worker"), ("migrate", "migrate")):
        [container] = dict(pods())[ours]["spec"]["containers"]
        assert container["command"] == services[theirs]["command"]


def test_selectors_find_their_pods():
    labels = [pod["metadata"]["labels"] for _, pod in pods()]
    selectors = [each["spec"]["selector"] for each in named("Service").values()]
    selectors += [each["spec"]["selector"]["matchLabels"] for each in named("PodDisruptionBudget").values()]
    selectors += [each["spec"]["selector"]["matchLabels"] for each in named("Deployment").values()]
    for selector in selectors:
        assert any(selector.items() <= each.items() for each in labels), selector
    for scaler in named("HorizontalPodAutoscaler").values():
        assert scaler["spec"]["scaleTargetRef"]["name"] in named("Deployment")


def names_of(example: str) -> list[str]:
    return [line.split("=")[0] for line in (FOLDER / example).read_text().splitlines() if line]


def test_settings_and_secrets_exist():
    [config] = KUSTOMIZATION["configMapGenerator"]
    given = [line.split("=")[0] for line in config["literals"]]
    for secret in KUSTOMIZATION["secretGenerator"]:
        given += names_of(f"{secret['envs'][0]}.example")
    assert all(name.lower() in Settings.model_fields for name in given), given


def test_the_migration_alone_knows_the_owner_and_the_administrator():
    assert set(names_of("owner.env.example")) == {"DATABASE_OWNER_URL", "ADMIN_USERNAME", "ADMIN_PASSWORD"}
    assert not {"DATABASE_OWNER_URL", "ADMIN_PASSWORD"} & set(names_of("secrets.env.example"))
    for name, pod in pods():
        [container] = pod["spec"]["containers"]
        secrets = {each["secretRef"]["name"] for each in container.get("envFrom", ()) if "secretRef" in each}
        assert ("owner" in secrets) == (name == "migrate"), name


def test_nobody_talks_to_anybody_by_default():
    policy = named("NetworkPolicy")["nothing-by-default"]["spec"]
    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


PODS = ("api", "worker", "dashboard", "migrate")
ELSEWHERE = ("10.1.2.3", "172.16.0.1", "192.168.1.1", "fd00::1", "169.254.169.254", "fd00:ec2::254", "127.0.0.1",
             "8.8.8.8", "2606:4700::1111", "another pod")  # fmt: skip
INTERNET = {"8.8.8.8", "2606:4700::1111"}
INSIDE = {"10.1.2.3", "172.16.0.1", "192.168.1.1", "fd00::1", "another pod"}
RESOLVERS = {"169.254.20.10", "names"}


def is_chosen(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    return wanted and all(
        each["operator"] == "In" and labels.get(each["key"]) in each["values"]
        for each in selector.get("matchExpressions", ())
    )


def is_peer(peer: dict[str, Any], who: str) -> bool:
    """Whether a policy's peer takes in an address outside of the cluster, or a pod inside."""
    if "." in who or ":" in who:
        block = peer.get("ipBlock", {"cidr": "::/128"})
        networks = [ip_network(each) for each in (block["cidr"], *block.get("except", ()))]
        return [ip_address(who) in each for each in networks] == [True] + [False] * (len(networks) - 1)
    space = {"kubernetes.io/metadata.name": "kube-system"} if who == "names" else {}
    labels = {"k8s-app": "kube-dns"} if who == "names" else {"app": who}
    anywhere = "namespaceSelector" in peer or who in PODS
    return (
        "ipBlock" not in peer
        and anywhere
        and is_chosen(peer.get("namespaceSelector", {}), space)
        and is_chosen(peer.get("podSelector", {}), labels)
    )


def ports_of(pod: str, who: str) -> set[int]:
    """The ports on which a pod may reach somebody, as the policies of its egress add up."""
    found = set()
    for policy in (each["spec"] for each in named("NetworkPolicy").values()):
        for rule in policy.get("egress", ()) if is_chosen(policy["podSelector"], {"app": pod}) else ():
            if any(is_peer(peer, who) for peer in rule["to"]):  # a rule without it would mean everybody
                found |= {each["port"] for each in rule["ports"]}
    return found


def test_each_pod_reaches_what_it_needs_and_no_more():
    servers = {"api": {5432, 6379}, "worker": {5432, 6379}, "migrate": {5432}, "dashboard": set()}
    outside = {"api": {443}, "worker": {443, 80}, "migrate": set(), "dashboard": set()}
    for pod in PODS:
        for who in ELSEWHERE:
            wanted = servers[pod] if who in INSIDE else outside[pod] if who in INTERNET else set()
            assert ports_of(pod, who) == wanted, (pod, who)
        assert all(53 in ports_of(pod, who) for who in RESOLVERS)
    assert ports_of("dashboard", "api") == {8000}


def test_a_workers_figures_are_for_prometheus_alone():
    """Nothing else is let in, and it listens to its own address in the pods' network, not to all."""
    policies = [each["spec"] for each in named("NetworkPolicy").values()]
    found = [
        each for each in policies if is_chosen(each["podSelector"], {"app": "worker"}) and "ingress" in each
    ]
    [rule] = [rule for each in found for rule in each["ingress"]]
    [peer] = rule["from"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "monitoring"}
    assert peer["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "prometheus"}
    assert rule["ports"] == [{"port": "metrics"}]
    [container] = dict(pods())["worker"]["spec"]["containers"]
    listens = {each["name"]: each for each in container["env"]}["METRICS_HOST"]
    assert listens["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"


def test_the_anchors_of_the_audit_log_outlive_the_workers():
    worker = dict(pods())["worker"]["spec"]
    [container] = worker["containers"]
    path = Path({each["name"]: each.get("value") for each in container["env"]}["AUDIT_ANCHORS"])
    mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    volumes = {each["name"]: each for each in worker["volumes"]}
    claim = volumes[mounts[str(path.parent)]]["persistentVolumeClaim"]["claimName"]
    assert named("PersistentVolumeClaim")[claim]["spec"]["accessModes"] == ["ReadWriteMany"]
    assert worker["securityContext"]["fsGroup"] == worker["securityContext"]["runAsGroup"]


def test_what_people_behind_a_proxy_need_is_set():
    [config] = KUSTOMIZATION["configMapGenerator"]
    given = dict(line.split(" #")[0].split("=", 1) for line in config["literals"])
    assert {"TRUSTED_PROXIES", "MAX_CONNECTIONS"} <= given.keys() and int(given["MAX_CONNECTIONS"]) <= 2000


def test_the_images_are_those_of_this_version():
    used = {container["image"] for _, pod in pods() for container in pod["spec"]["containers"]}
    assert {each["name"]: each["newTag"] for each in KUSTOMIZATION["images"]} == dict.fromkeys(
        used, __version__
    )


def test_prometheus_finds_the_pods_and_is_let_in(tmp_path: Path):
    """The delivered scrape configuration names labels, ports, namespaces and the token that the manifests have."""
    config = yaml.safe_load((ROOT / "deploy" / "prometheus-kubernetes.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert jobs["api"]["authorization"]["credentials_file"] and "authorization" not in jobs["worker"]
    for name, job in jobs.items():
        [found] = job["kubernetes_sd_configs"]
        assert found["namespaces"]["names"] == [KUSTOMIZATION["namespace"]]
        app, _, port = job["relabel_configs"][0]["regex"].partition(";")
        pod = dict(pods())[name]
        assert pod["metadata"]["labels"]["app"] == app
        assert port in [each["name"] for each in pod["spec"]["containers"][0]["ports"]]
    assert "METRICS_TOKEN=" in (FOLDER / "secrets.env.example").read_text()
    if (tool := shutil.which("promtool")) is None:
        pytest.skip("no promtool on this machine")
    (tmp_path / "token").write_text("let me see")
    jobs["api"]["authorization"]["credentials_file"] = str(tmp_path / "token")
    # Debian's Prometheus is built without Kubernetes: everything but the search is checked.
    for job in jobs.values():
        job["static_configs"] = [{"targets": [str(len(job.pop("kubernetes_sd_configs")))]}]
    config["rule_files"] = [str(ROOT / "deploy" / "alerts.yml")]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    subprocess.run([tool, "check", "config", str(tmp_path / "prometheus.yml")], check=True, timeout=60)
