package plan

import "k8s.io/apimachinery/pkg/runtime/schema"

// Rank orders kinds: lower ones are applied first and pruned last.
type Rank int

// The ranks. Objects of the first two are waited for before anything else is applied.
const (
	RankDefinition Rank = iota // custom resource definitions
	RankNamespace
	RankClass   // priority, storage, ingress, gateway and other classes
	RankLimit   // quotas, limit ranges, network policies
	RankAccount // service accounts
	RankRole
	RankBinding
	RankConfig // config maps and secrets
	RankStorage
	RankService
	RankWorkload
	RankRest // autoscalers, budgets, routes, and custom resources
	RankWebhook
)

// RankOf returns the rank of a kind.
func RankOf(k schema.GroupKind) Rank {
	switch k.Group {
	case "apiextensions.k8s.io":
		return RankDefinition
	case "admissionregistration.k8s.io":
		return RankWebhook
	case "rbac.authorization.k8s.io":
		if k.Kind == "Role" || k.Kind == "ClusterRole" {
			return RankRole
		}
		return RankBinding
	case "scheduling.k8s.io", "storage.k8s.io", "node.k8s.io":
		return RankClass
	case "networking.k8s.io", "gateway.networking.k8s.io":
		switch k.Kind {
		case "IngressClass", "GatewayClass":
			return RankClass
		case "NetworkPolicy":
			return RankLimit
		}
	case "apps", "batch":
		return RankWorkload
	case "apiregistration.k8s.io":
		return RankWebhook
	case "":
		return rankOfCore(k.Kind)
	}
	return RankRest
}

func rankOfCore(kind string) Rank {
	switch kind {
	case "Namespace":
		return RankNamespace
	case "ResourceQuota", "LimitRange":
		return RankLimit
	case "ServiceAccount":
		return RankAccount
	case "ConfigMap", "Secret":
		return RankConfig
	case "PersistentVolume", "PersistentVolumeClaim":
		return RankStorage
	case "Service", "Endpoints":
		return RankService
	case "Pod", "ReplicationController", "PodTemplate":
		return RankWorkload
	default:
		return RankRest
	}
}

// IsDefinition reports whether k is a custom resource definition.
func IsDefinition(k schema.GroupKind) bool {
	return k.Group == "apiextensions.k8s.io" && k.Kind == "CustomResourceDefinition"
}

// IsNamespace reports whether k is a namespace.
func IsNamespace(k schema.GroupKind) bool { return k.Group == "" && k.Kind == "Namespace" }

// isProtected reports whether objects of kind k hold what people cannot get back: they are never pruned unless the stack
// says so.
func isProtected(k schema.GroupKind) bool {
	return IsDefinition(k) || (k.Group == "" && k.Kind == "PersistentVolumeClaim")
}
