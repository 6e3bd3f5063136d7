"""What is known of volume drivers: who serves a provisioner, and what volumes it can give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

EBS = "ebs.csi.aws.com"
EFS = "efs.csi.aws.com"
GCE_PD = "pd.csi.storage.gke.io"
AZURE_DISK = "disk.csi.azure.com"
AZURE_FILE = "file.csi.azure.com"

#: How a pod may use a volume: as a file system, or as a device.
FILESYSTEM = "Filesystem"
BLOCK = "Block"


@dataclass(frozen=True, slots=True)
class InTree:
    """A provisioner that was part of Kubernetes. ``removed``: the minor version without its code. ``driver``: the CSI
    driver that the API objects are translated for (None: nothing serves them from ``removed`` on)."""

    removed: int
    driver: str | None


#: Provisioner → when its code left Kubernetes, and who serves it. Versions: kubernetes.io/docs/concepts/storage/volumes
#: and, from 1.28 on, the plug-ins in pkg/volume of each release; drivers: k8s.io/csi-translation-lib v0.37.1,
#: translate.go.
IN_TREE: Mapping[str, InTree] = {
    "kubernetes.io/aws-ebs": InTree(27, EBS),
    "kubernetes.io/azure-disk": InTree(27, AZURE_DISK),
    "kubernetes.io/azure-file": InTree(30, AZURE_FILE),
    "kubernetes.io/cinder": InTree(26, "cinder.csi.openstack.org"),
    "kubernetes.io/flocker": InTree(25, None),
    "kubernetes.io/gce-pd": InTree(28, GCE_PD),
    "kubernetes.io/glusterfs": InTree(26, None),
    "kubernetes.io/portworx-volume": InTree(36, "pxd.portworx.com"),
    "kubernetes.io/quobyte": InTree(25, None),
    "kubernetes.io/rbd": InTree(31, None),
    "kubernetes.io/scaleio": InTree(22, None),
    "kubernetes.io/storageos": InTree(25, None),
    "kubernetes.io/vsphere-volume": InTree(30, "csi.vsphere.vmware.com"),
}

#: What makes no volumes: claims bind to volumes that somebody else made.
NO_PROVISIONER = "kubernetes.io/no-provisioner"

#: Drivers whose volumes live in one zone (or in few), so that a volume must be made where its pod can run.
ZONAL = frozenset({EBS, GCE_PD, AZURE_DISK, "cinder.csi.openstack.org"})

#: Drivers that can enlarge volumes, whose volumes have a size that is enforced.
EXPANDABLE = frozenset({EBS, GCE_PD, AZURE_DISK, AZURE_FILE, "cinder.csi.openstack.org", "csi.vsphere.vmware.com"})

#: Drivers whose volumes are encrypted whatever a class says, because all storage of the provider is.
ALWAYS_ENCRYPTED = frozenset({GCE_PD, AZURE_DISK, AZURE_FILE, "filestore.csi.storage.gke.io"})

_ONE_NODE = frozenset({"ReadWriteOnce", "ReadWriteOncePod"})
_ALL = frozenset({"ReadWriteOnce", "ReadWriteOncePod", "ReadOnlyMany", "ReadWriteMany"})

#: (driver, volume mode) → the access modes that it takes. One that is not here is not known: devices of GCE and Azure
#: depend on the disk's type and its maxShares. Sources, each the check that CreateVolume makes of capabilities:
#: aws-ebs-csi-driver pkg/driver/controller.go (isValidCapability; more than one node: io2 devices only,
#: pkg/cloud/cloud.go CreateDisk), aws-efs-csi-driver pkg/driver/node.go (volumeCapAccessModes: the writer of one node,
#: or many writers), gcp-compute-persistent-disk-csi-driver pkg/gce-pd-csi-driver/utils.go (validateVolumeCapability),
#: azuredisk-csi-driver pkg/azuredisk/azure_common_utils.go (isValidVolumeCapabilities).
ACCESS_MODES: Mapping[tuple[str, str], frozenset[str]] = {
    (EBS, FILESYSTEM): _ONE_NODE,
    (EBS, BLOCK): _ONE_NODE | {"ReadWriteMany"},
    (EFS, FILESYSTEM): _ONE_NODE | {"ReadWriteMany"},
    (GCE_PD, FILESYSTEM): _ONE_NODE | {"ReadOnlyMany"},
    (AZURE_DISK, FILESYSTEM): _ONE_NODE,
    (AZURE_FILE, FILESYSTEM): _ALL,
    (AZURE_FILE, BLOCK): frozenset(),
}


def driver_of(provisioner: str) -> str:
    """The driver that serves a provisioner: itself, or the one that an in-tree provisioner is translated for."""
    known = IN_TREE.get(provisioner)
    return known.driver or provisioner if known is not None else provisioner
