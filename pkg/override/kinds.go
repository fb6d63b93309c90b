package override

import (
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// known returns the shape of a kind whose lists have merge keys; nil for others, which are merged as plain JSON.
func known(gvk schema.GroupVersionKind) any {
	switch gvk.GroupVersion() {
	case corev1.SchemeGroupVersion:
		return coreKind(gvk.Kind)
	case appsv1.SchemeGroupVersion:
		return appsKind(gvk.Kind)
	case batchv1.SchemeGroupVersion:
		switch gvk.Kind {
		case "Job":
			return &batchv1.Job{}
		case "CronJob":
			return &batchv1.CronJob{}
		}
	case networkingv1.SchemeGroupVersion:
		switch gvk.Kind {
		case "Ingress":
			return &networkingv1.Ingress{}
		case "NetworkPolicy":
			return &networkingv1.NetworkPolicy{}
		}
	case rbacv1.SchemeGroupVersion:
		switch gvk.Kind {
		case "Role":
			return &rbacv1.Role{}
		case "ClusterRole":
			return &rbacv1.ClusterRole{}
		case "RoleBinding":
			return &rbacv1.RoleBinding{}
		case "ClusterRoleBinding":
			return &rbacv1.ClusterRoleBinding{}
		}
	case autoscalingv2.SchemeGroupVersion:
		if gvk.Kind == "HorizontalPodAutoscaler" {
			return &autoscalingv2.HorizontalPodAutoscaler{}
		}
	case policyv1.SchemeGroupVersion:
		if gvk.Kind == "PodDisruptionBudget" {
			return &policyv1.PodDisruptionBudget{}
		}
	}
	return nil
}

func coreKind(kind string) any {
	switch kind {
	case "ConfigMap":
		return &corev1.ConfigMap{}
	case "Service":
		return &corev1.Service{}
	case "ServiceAccount":
		return &corev1.ServiceAccount{}
	case "Pod":
		return &corev1.Pod{}
	case "PersistentVolumeClaim":
		return &corev1.PersistentVolumeClaim{}
	case "PersistentVolume":
		return &corev1.PersistentVolume{}
	case "Namespace":
		return &corev1.Namespace{}
	case "LimitRange":
		return &corev1.LimitRange{}
	case "ResourceQuota":
		return &corev1.ResourceQuota{}
	case "Endpoints":
		return &corev1.Endpoints{} //nolint:staticcheck // manifests still have them
	case "ReplicationController":
		return &corev1.ReplicationController{}
	default:
		return nil
	}
}

func appsKind(kind string) any {
	switch kind {
	case "Deployment":
		return &appsv1.Deployment{}
	case "StatefulSet":
		return &appsv1.StatefulSet{}
	case "DaemonSet":
		return &appsv1.DaemonSet{}
	case "ReplicaSet":
		return &appsv1.ReplicaSet{}
	default:
		return nil
	}
}
