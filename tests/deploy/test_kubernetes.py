"""The Kubernetes manifests: right by the published schemas, restricted, and in step with the application."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

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
