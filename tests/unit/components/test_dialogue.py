"""Dialogue and its image: a service that people reach, with keys that Pulumi never sees."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.serving.app_image import AppImage, AppImageArgs, content_tag, moving_bases
from components.serving.dialogue import Dialogue, DialogueArgs, Speaker
from dialogue.settings import load
from tests.unit.components.recording import Recording, record

ROOT = Path(__file__).parents[3]
SERVICE = "kubernetes:serving.knative.dev/v1:Service"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
BOTH = [{"name": name, "model": "m", "url": "http://m"} for name in ("a", "b")]
DIGEST = f"@sha256:{'1' * 64}"
IMAGE = f"registry.example.com/dialogue@sha256:{'0' * 64}"


def speaker(name: str, *, guest: bool = False) -> Speaker:
    return Speaker(
        name=name,
        model=f"{name}:7b",
        url=f"http://{name}.models.svc.cluster.local",
        context_length=8192,
        guest=guest,
        node_seconds=52.4,
        image_seconds=28.0,
        weights_seconds=66.0,
    )


SPEAKERS = (speaker("mistral"), speaker("llama2"), speaker("llama3-2", guest=True))


def dialogue(**arguments: Any) -> Recording[Dialogue]:
    given = {"image": IMAGE, "arch": "amd64", "speakers": SPEAKERS, **arguments}
    return record(lambda: Dialogue("dialogue", DialogueArgs(**given)))


def pod(recording: Recording[Any]) -> Any:
    return recording.one(SERVICE).inputs["spec"]["template"]["spec"]


def test_its_settings_are_ones_that_the_application_takes(tmp_path: Path) -> None:
    data = dialogue().one("kubernetes:core/v1:ConfigMap").inputs["data"]
    path = tmp_path / "dialogue.json"
    path.write_text(data["dialogue.json"])
    settings = load(path, {})
    assert [s.name for s in settings.speakers] == ["mistral", "llama2", "llama3-2"]
    assert [s.guest for s in settings.speakers] == [False, False, True]
    assert settings.speakers[0].context_tokens == 8192
    assert settings.speakers[0].wake.node == 52


def test_settings_of_the_stack_file_go_first_and_those_of_the_platform_last(tmp_path: Path) -> None:
    ada = replace(SPEAKERS[0], own={"name": "Ada", "persona": "Dry.", "wake": {"node": 7}})
    recording = dialogue(
        speakers=(ada, *SPEAKERS[1:]), settings={"title": "Größe", "limits": {"turns": 3}, "trusted_hops": 0}
    )
    path = tmp_path / "dialogue.json"
    path.write_text(recording.one("kubernetes:core/v1:ConfigMap").inputs["data"]["dialogue.json"])
    settings = load(path, {})
    assert (settings.title, settings.limits.turns, settings.trusted_hops) == ("Größe", 3, 3)
    first = settings.speakers[0]
    assert (first.name, first.persona, first.model, first.wake.node) == ("Ada", "Dry.", "mistral:7b", 7)


def test_its_limits_leave_room_above_what_was_measured() -> None:
    (container,) = pod(dialogue())["containers"]
    resources = container["resources"]
    assert resources["limits"]["memory"] == resources["requests"]["memory"] == "256Mi"
    assert (resources["requests"]["cpu"], resources["limits"]["cpu"]) == ("150m", "1")


def test_other_settings_are_another_revision() -> None:
    def annotation(**arguments: Any) -> str:
        template = dialogue(**arguments).one(SERVICE).inputs["spec"]["template"]
        return str(template["metadata"]["annotations"]["gpu-slices/settings"])

    assert annotation() == annotation()
    assert annotation() != annotation(settings={"title": "Other"})


def test_figures_are_for_namespaces_that_say_so() -> None:
    recording = dialogue()
    data = recording.one("kubernetes:core/v1:ConfigMap").inputs["data"]
    spec = recording.one("kubernetes:networking.k8s.io/v1:NetworkPolicy").inputs["spec"]
    _, figures = spec["ingress"]
    assert figures == {
        "from": [{"namespaceSelector": {"matchLabels": {"gpu-slices/metrics-client": "true"}}}],
        "ports": [{"port": json.loads(data["dialogue.json"])["metrics_port"], "protocol": "TCP"}],
    }
    (container,) = pod(recording)["containers"]
    assert [port["containerPort"] for port in container["ports"]] == [8080], "no way for people"


def test_it_sleeps_has_one_pod_and_runs_on_cpu_nodes() -> None:
    recording = dialogue(arch="arm64")
    annotations = recording.one(SERVICE).inputs["spec"]["template"]["metadata"]["annotations"]
    assert annotations["autoscaling.knative.dev/min-scale"] == "0"
    assert annotations["autoscaling.knative.dev/max-scale"] == "1"
    assert pod(recording)["nodeSelector"] == {"intent": "apps", "kubernetes.io/arch": "arm64"}
    assert [each["key"] for each in pod(recording)["tolerations"]] == ["intent"], "never to GPU nodes"


def test_only_a_door_makes_it_public() -> None:
    labels = dialogue().one(SERVICE).inputs["metadata"]["labels"]
    assert labels == {"networking.knative.dev/visibility": "cluster-local"}
    assert "labels" not in dialogue(public=True).one(SERVICE).inputs["metadata"]


def test_keys_come_from_a_secret_that_somebody_else_makes() -> None:
    recording = dialogue(keys_secret="ours")
    assert recording.of_type("kubernetes:core/v1:Secret") == []
    (volume,) = [v for v in pod(recording)["volumes"] if v["name"] == "keys"]
    assert volume["secret"] == {"secretName": "ours"}
    (container,) = pod(recording)["containers"]
    assert container["env"][0] == {"name": "DIALOGUE_KEYS_FILE", "value": "/etc/dialogue-keys/keys"}


def test_conversations_are_kept_on_a_volume_that_its_user_may_write() -> None:
    for storage_class, source in (
        (None, {"emptyDir": {"sizeLimit": "256Mi"}}),
        ("gp3", {"persistentVolumeClaim": {"claimName": "conversations"}}),
    ):
        recording = dialogue(storage_class=storage_class)
        (volume,) = [v for v in pod(recording)["volumes"] if v["name"] == "conversations"]
        assert volume == {"name": "conversations", **source}
        (container,) = pod(recording)["containers"]
        (store,) = [variable["value"] for variable in container["env"] if variable["name"] == "DIALOGUE_STORE"]
        (place,) = [m["mountPath"] for m in container["volumeMounts"] if m["name"] == "conversations"]
        assert Path(store).parent == Path(place)
        context = pod(recording)["securityContext"]
        assert context["fsGroup"] == context["runAsUser"]
        assert load(None, {"DIALOGUE_STORE": store}, speakers=BOTH).store == Path(store)


def test_a_claim_is_made_before_the_pod_and_two_pods_share_its_node() -> None:
    assert dialogue().of_type(CLAIM) == []
    assert "affinity" not in pod(dialogue())
    recording = dialogue(storage_class="gp3")
    claim = recording.one(CLAIM).inputs
    assert claim["metadata"]["namespace"] == "dialogue"
    assert claim["metadata"]["name"] == "conversations"
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert claim["spec"]["storageClassName"] == "gp3"
    (same,) = pod(recording)["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert same["labelSelector"] == {"matchLabels": {"serving.knative.dev/service": "dialogue"}}
    assert same["topologyKey"] == "kubernetes.io/hostname"


def test_its_node_is_not_taken_away_to_save_money() -> None:
    annotations = dialogue().one(SERVICE).inputs["spec"]["template"]["metadata"]["annotations"]
    assert annotations["karpenter.sh/do-not-disrupt"] == "true"


def test_it_may_call_models_and_nothing_else() -> None:
    recording = dialogue()
    namespace = recording.one("kubernetes:core/v1:Namespace").inputs["metadata"]
    assert namespace["labels"]["gpu-slices/models-client"] == "true"
    spec = recording.one("kubernetes:networking.k8s.io/v1:NetworkPolicy").inputs["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    knative = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "knative-serving"}}}]
    _, egress = spec["egress"]
    assert egress["to"] == spec["ingress"][0]["from"] == knative
    assert {port["port"] for port in egress["ports"]} == {80, 8081}


def image(**arguments: Any) -> Recording[AppImage]:
    given = {"repository": "gpu-slices-dev/dialogue", "context": "apps/dialogue", "platform": "linux/amd64"}
    return record(
        lambda: AppImage("image", AppImageArgs(**{**given, "key_arn": "arn:aws:kms:key", **arguments})),
        watch=["reference"],
    )


def test_images_are_immutable_scanned_and_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    repository = image().one("aws:ecr/repository:Repository").inputs
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    assert repository["encryptionConfigurations"] == [{"encryptionType": "KMS", "kmsKey": "arn:aws:kms:key"}]


def test_a_preview_builds_nothing_and_an_update_pushes_by_content(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    recording = image()
    built = recording.one("docker-build:index:Image").inputs
    assert (built["push"], built["buildOnPreview"]) == (True, False)
    assert built["platforms"] == ["linux/amd64"]
    (tag,) = built["tags"]
    assert tag.endswith(f":{content_tag(ROOT / 'apps/dialogue', 'linux/amd64')}")
    assert recording.outputs["reference"].endswith("0" * 64)


def test_the_tag_changes_with_the_content_and_with_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    shutil.copytree(ROOT / "apps/dialogue", folder, ignore=shutil.ignore_patterns("__pycache__"))
    before = content_tag(folder, "linux/amd64")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert content_tag(folder, "linux/amd64") == before
    assert content_tag(folder, "linux/arm64") != before
    (folder / "new.py").write_text("")
    assert content_tag(folder, "linux/amd64") != before


def test_the_tag_changes_with_the_digest_of_the_base(tmp_path: Path) -> None:
    dockerfile = tmp_path / "Dockerfile"
    ours = (ROOT / "apps/dialogue/Dockerfile").read_text()
    dockerfile.write_text(ours)
    before = content_tag(tmp_path, "linux/amd64")
    (digest,) = re.findall(r"@sha256:([0-9a-f]{64})", ours)
    dockerfile.write_text(ours.replace(digest, "0" * 64))
    assert content_tag(tmp_path, "linux/amd64") != before


@pytest.mark.parametrize(
    ("dockerfile", "moving"),
    [
        (f"ARG B=python:3{DIGEST}\nFROM ${{B}} AS one\nFROM $B\nCOPY --from=one /a /b", []),
        (f"FROM --platform=linux/amd64 python:3{DIGEST}\nfrom scratch", []),
        ("ARG PYTHON=python:3.13\nFROM ${PYTHON}", ["python:3.13"]),
        ("FROM python", ["python"]),
        (f"FROM python:3{DIGEST}\nCOPY --chown=1:1 --from=ghcr.io/acme/tool:1 /a /b", ["ghcr.io/acme/tool:1"]),
        ("FROM ${UNSAID}", ["${UNSAID}"]),
    ],
)
def test_a_base_without_a_digest_is_refused(dockerfile: str, moving: list[str], tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(dockerfile)
    assert moving_bases(dockerfile) == moving
    if moving:
        with pytest.raises(ValueError, match=r"Dockerfile: base images need a digest"):
            content_tag(tmp_path, "linux/amd64")


def test_the_policy_of_the_repository_is_valid_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    rules = json.loads(image().one("aws:ecr/lifecyclePolicy:LifecyclePolicy").inputs["policy"])["rules"]
    assert [rule["rulePriority"] for rule in rules] == [1, 2]
