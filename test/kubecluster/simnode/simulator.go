// Package simnode plays the kubelets of a cluster without any: nodes that are Ready and pods that pretend to run, so that
// what depends on workloads can be tested on a control plane alone.
package simnode

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

const (
	leaseSeconds    = 40               // as a kubelet's
	renewEvery      = 10 * time.Second // as a kubelet's
	podWorkers      = 4
	podNetwork      = "10.244.0.0"
	simulatedLabel  = "kubecluster/simulated"
	leaseNamespace  = corev1.NamespaceNodeLease
	nodeVersionName = "simulated"
)

// Simulator plays the kubelets of a cluster: it registers nodes, keeps them Ready, moves the pods bound to them through
// their phases (see desiredStatus) and removes the ones being deleted. No container runs.
type Simulator struct {
	cfg   *rest.Config
	nodes []string

	client kubernetes.Interface
	pods   corelisters.PodLister
	queue  workqueue.TypedRateLimitingInterface[cache.ObjectName]

	mu     sync.Mutex
	lastIP netip.Addr
}

// New makes a simulator of so many nodes, named after the cluster, for the API server that cfg leads to.
func New(cfg *rest.Config, cluster string, nodes int) *Simulator {
	s := &Simulator{cfg: rest.CopyConfig(cfg), lastIP: netip.MustParseAddr(podNetwork)}
	s.cfg.ContentType = "application/vnd.kubernetes.protobuf"
	s.cfg.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	for i := 1; i <= nodes; i++ {
		s.nodes = append(s.nodes, fmt.Sprintf("%s-node-%d", cluster, i))
	}
	return s
}

// Run simulates until ctx ends.
func (s *Simulator) Run(ctx context.Context) error {
	var err error
	if s.client, err = kubernetes.NewForConfig(s.cfg); err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	for i, name := range s.nodes {
		if err := s.register(ctx, name, i); err != nil {
			return err
		}
	}
	s.queue = workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](20*time.Millisecond, 5*time.Second))
	defer s.queue.ShutDown()
	factory := informers.NewSharedInformerFactory(s.client, 0)
	informer := factory.Core().V1().Pods()
	s.pods = informer.Lister()
	enqueue := func(obj any) {
		if pod, ok := obj.(*corev1.Pod); ok && s.mine(pod) {
			s.queue.Add(cache.MetaObjectToName(pod))
		}
	}
	_, err = informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, now any) { enqueue(now) },
	})
	if err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.Informer().HasSynced) {
		return nil // ctx ended
	}
	for range podWorkers {
		go s.work(ctx)
	}
	s.heartbeat(ctx)
	return nil
}

func (s *Simulator) mine(pod *corev1.Pod) bool {
	for _, n := range s.nodes {
		if pod.Spec.NodeName == n {
			return true
		}
	}
	return false
}

// register creates the node, or marks one Ready that is there from an earlier run.
func (s *Simulator) register(ctx context.Context, name string, index int) error {
	status := nodeStatus(name, index)
	node, err := s.client.CoreV1().Nodes().Create(ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: name,
			Labels: map[string]string{
				simulatedLabel:       "true",
				corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
			},
		},
		Status: status,
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		if node, err = s.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{}); err == nil {
			node.Status = status
			_, err = s.client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
		}
	}
	if err != nil {
		return fmt.Errorf("register node %s: %w", name, err)
	}
	if err := s.renew(ctx, name); err != nil {
		return fmt.Errorf("create lease of node %s: %w", name, err)
	}
	return nil
}

func nodeStatus(name string, index int) corev1.NodeStatus {
	capacity := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("32"), corev1.ResourceMemory: resource.MustParse("256Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("1Ti"), corev1.ResourcePods: resource.MustParse("500"),
	}
	now := metav1.Now()
	condition := func(kind corev1.NodeConditionType, status corev1.ConditionStatus, reason string) corev1.NodeCondition {
		return corev1.NodeCondition{Type: kind, Status: status, Reason: reason, LastHeartbeatTime: now, LastTransitionTime: now}
	}
	return corev1.NodeStatus{
		Capacity: capacity, Allocatable: capacity,
		Conditions: []corev1.NodeCondition{
			condition(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady"),
			condition(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory"),
			condition(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure"),
			condition(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID"),
		},
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: nodeIP(index)},
			{Type: corev1.NodeHostName, Address: name},
		},
		NodeInfo: corev1.NodeSystemInfo{
			KubeletVersion: nodeVersionName, ContainerRuntimeVersion: nodeVersionName,
			OperatingSystem: "linux", Architecture: "amd64",
		},
	}
}

// nodeIP is an address of the block that is reserved for documentation: nothing answers there.
func nodeIP(index int) string { return fmt.Sprintf("192.0.2.%d", index%250+1) }

// heartbeat renews the nodes' leases and keeps them Ready until ctx ends. A failure is left to the next round: four fit into a lease.
func (s *Simulator) heartbeat(ctx context.Context) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for i, name := range s.nodes {
				_ = s.renew(ctx, name)
				_ = s.keepReady(ctx, name, i)
			}
		}
	}
}

// keepReady tells the node's status again when the cluster has given it up, as it does after a stall of the machine that lasted longer
// than the lease: a renewed lease alone brings no node back.
func (s *Simulator) keepReady(ctx context.Context, name string, index int) error {
	node, err := s.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return nil
		}
	}
	node.Status = nodeStatus(name, index)
	_, err = s.client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
	return err
}

func (s *Simulator) renew(ctx context.Context, name string) error {
	leases := s.client.CoordinationV1().Leases(leaseNamespace)
	now := metav1.NowMicro()
	lease, err := leases.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		seconds := int32(leaseSeconds)
		_, err = leases.Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: leaseNamespace},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: &name, LeaseDurationSeconds: &seconds, RenewTime: &now},
		}, metav1.CreateOptions{})
		if apierrors.IsNotFound(err) {
			return nil // the API server has not made the namespace yet, right after its first boot; the next round will do
		}
		return err
	}
	if err != nil {
		return err
	}
	lease.Spec.RenewTime = &now
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	return err
}

func (s *Simulator) work(ctx context.Context) {
	for {
		key, shutdown := s.queue.Get()
		if shutdown {
			return
		}
		again, err := s.sync(ctx, key)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			s.queue.AddRateLimited(key)
		default:
			s.queue.Forget(key)
			if again > 0 {
				s.queue.AddAfter(key, again)
			}
		}
		s.queue.Done(key)
	}
}

// sync does the next thing that a kubelet would do for the pod, and says after how long to look again (0: on the next event).
func (s *Simulator) sync(ctx context.Context, key cache.ObjectName) (again time.Duration, err error) {
	pod, err := s.pods.Pods(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	pods := s.client.CoreV1().Pods(pod.Namespace)
	if pod.DeletionTimestamp != nil {
		err := pods.Delete(ctx, pod.Name, deleteNow(pod))
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return 0, nil // gone, or another pod has its name by now
		}
		return 0, err
	}
	ip := pod.Status.PodIP
	if ip == "" {
		ip = s.nextIP()
	}
	status, again := desiredStatus(pod, ip, metav1.Now().Rfc3339Copy())
	if status == nil {
		return again, nil
	}
	updated := pod.DeepCopy()
	updated.Status = *status
	_, err = pods.UpdateStatus(ctx, updated, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	return again, err
}

func (s *Simulator) nextIP() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastIP = s.lastIP.Next()
	return s.lastIP.String()
}

func deleteNow(pod *corev1.Pod) metav1.DeleteOptions {
	grace := int64(0)
	return metav1.DeleteOptions{GracePeriodSeconds: &grace, Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}
}
