package health_test

import (
	"strings"
	"testing"
)

func TestDeployment(t *testing.T) {
	t.Parallel()
	const available = "{type: Available, status: 'True', reason: MinimumReplicasAvailable}"
	const complete = "{type: Progressing, status: 'True', reason: NewReplicaSetAvailable}"
	const under = "{type: Progressing, status: 'True', reason: ReplicaSetUpdated}"
	const quota = "{type: ReplicaFailure, status: 'True', reason: FailedCreate, message: 'pods \"web-1\" is forbidden: exceeded quota: small'}"
	const full = "replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2"
	head := func(spec string) string {
		return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, generation: 2}\nspec: {progressDeadlineSeconds: 600, " + spec + "}\n"
	}
	check(t, head("replicas: 2"), map[string]state{
		"no status yet":         {"", progressing, "Replicas: 0/2"},
		"not looked at yet":     {"status: {observedGeneration: 1, " + full + ", conditions: [" + available + ", " + complete + "]}", progressing, "observed generation is 1"},
		"not looked at, broken": {"status: {observedGeneration: 1, conditions: [" + quota + "]}", progressing, "observed generation is 1"},
		"complete":              {"status: {observedGeneration: 2, " + full + ", conditions: [" + available + ", " + complete + "]}", healthy, ""},
		"new pods come":         {"status: {observedGeneration: 2, replicas: 2, updatedReplicas: 1, readyReplicas: 2, availableReplicas: 2, conditions: [" + available + ", " + under + "]}", progressing, "Updated: 1/2"},
		"old pods go":           {"status: {observedGeneration: 2, replicas: 3, updatedReplicas: 2, readyReplicas: 3, availableReplicas: 3, conditions: [" + available + ", " + under + "]}", progressing, "Pending termination: 1"},
		"pods are not ready":    {"status: {observedGeneration: 2, replicas: 2, updatedReplicas: 2, unavailableReplicas: 2, conditions: [" + under + "]}", progressing, "Available: 0/2"},
		"deadline exceeded":     {"status: {observedGeneration: 2, replicas: 2, updatedReplicas: 2, conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: 'ReplicaSet \"web-1\" has timed out progressing.'}]}", failing, "Progress deadline exceeded"},
		"pods may not be made":  {"status: {observedGeneration: 2, replicas: 1, updatedReplicas: 1, conditions: [" + under + ", " + quota + "]}", degraded, "FailedCreate: pods \"web-1\" is forbidden: exceeded quota"},
		"and it took too long":  {"status: {observedGeneration: 2, conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded}, " + quota + "]}", failing, "exceeded quota"},
		"it may again":          {"status: {observedGeneration: 2, replicas: 1, updatedReplicas: 1, conditions: [" + under + ", " + strings.Replace(quota, "'True'", "'False'", 1) + "]}", progressing, "Replicas: 1/2"},
	})
	check(t, head("replicas: 0"), map[string]state{
		"scaled to nothing":       {"status: {observedGeneration: 2, conditions: [" + available + ", " + complete + "]}", healthy, ""},
		"being scaled to nothing": {"status: {observedGeneration: 2, replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2, conditions: [" + available + ", " + complete + "]}", progressing, "Pending termination: 2"},
	})
	const paused = "{type: Progressing, status: Unknown, reason: DeploymentPaused}"
	check(t, head("replicas: 2, paused: true"), map[string]state{
		"paused when complete":        {"status: {observedGeneration: 2, " + full + ", conditions: [" + available + ", " + paused + "]}", healthy, ""},
		"paused on the way":           {"status: {observedGeneration: 2, replicas: 3, updatedReplicas: 1, readyReplicas: 3, availableReplicas: 3, conditions: [" + available + ", " + paused + "]}", progressing, "its rollout is paused (spec.paused): Updated: 1/2"},
		"paused from the start":       {"status: {observedGeneration: 2, conditions: [" + paused + "]}", progressing, "its rollout is paused (spec.paused): Replicas: 0/2"},
		"paused, and may not be made": {"status: {observedGeneration: 2, conditions: [" + paused + ", " + quota + "]}", degraded, "exceeded quota"},
		"failed and then paused":      {"status: {observedGeneration: 2, conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded}]}", failing, "Progress deadline exceeded"},
	})
}

func TestOtherWorkloads(t *testing.T) {
	t.Parallel()
	check(t, "", map[string]state{
		"replica set":                      {"{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: r, generation: 1}, spec: {replicas: 1}, status: {observedGeneration: 1, replicas: 1, fullyLabeledReplicas: 1, readyReplicas: 1, availableReplicas: 1}}", healthy, ""},
		"replica set without pods":         {"{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: r, generation: 1}, spec: {replicas: 1}, status: {observedGeneration: 1, conditions: [{type: ReplicaFailure, status: 'True', reason: FailedCreate, message: denied by a webhook}]}}", degraded, "FailedCreate: denied by a webhook"},
		"stateful set":                     {"{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s, generation: 1}, spec: {replicas: 2}, status: {observedGeneration: 1, replicas: 2, readyReplicas: 2, currentReplicas: 2, currentRevision: a, updateRevision: a}}", healthy, ""},
		"stateful set on its way":          {"{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s, generation: 1}, spec: {replicas: 2}, status: {observedGeneration: 1, replicas: 2, readyReplicas: 1}}", progressing, "Ready: 1/2"},
		"stateful set updated by hand":     {"{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s, generation: 1}, spec: {replicas: 2, updateStrategy: {type: OnDelete}}, status: {observedGeneration: 1, replicas: 2, readyReplicas: 2, currentRevision: a, updateRevision: b}}", healthy, ""},
		"and not ready":                    {"{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s, generation: 1}, spec: {updateStrategy: {type: OnDelete}}, status: {observedGeneration: 1, replicas: 1}}", progressing, "Ready: 0/1"},
		"stateful set scaled to nothing":   {"{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s, generation: 1}, spec: {replicas: 0}, status: {observedGeneration: 1, replicas: 0, currentRevision: a, updateRevision: a}}", healthy, ""},
		"replication controller":           {"{apiVersion: v1, kind: ReplicationController, metadata: {name: r, generation: 1}, spec: {replicas: 2}, status: {observedGeneration: 1, replicas: 2, readyReplicas: 2}}", healthy, ""},
		"replication controller, unready":  {"{apiVersion: v1, kind: ReplicationController, metadata: {name: r, generation: 1}, spec: {replicas: 2}, status: {observedGeneration: 1, replicas: 2}}", progressing, "Ready: 0/2"},
		"daemon set":                       {"{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: d, generation: 1}, status: {observedGeneration: 1, desiredNumberScheduled: 3, currentNumberScheduled: 3, updatedNumberScheduled: 3, numberAvailable: 3, numberReady: 3}}", healthy, ""},
		"daemon set without nodes":         {"{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: d, generation: 1}, status: {observedGeneration: 1, desiredNumberScheduled: 0}}", healthy, ""},
		"daemon set nobody has seen":       {"{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: d, generation: 1}, status: {}}", progressing, "observedGeneration not found"},
		"daemon set being updated":         {"{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: d, generation: 1}, spec: {updateStrategy: {type: RollingUpdate}}, status: {observedGeneration: 1, desiredNumberScheduled: 3, currentNumberScheduled: 3, updatedNumberScheduled: 1, numberAvailable: 3, numberReady: 3}}", progressing, "Updated: 1/3"},
		"daemon set updated by hand":       {"{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: d, generation: 1}, spec: {updateStrategy: {type: OnDelete}}, status: {observedGeneration: 1, desiredNumberScheduled: 3, currentNumberScheduled: 3, numberAvailable: 3, numberReady: 3}}", healthy, ""},
		"and not available":                {"{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: d, generation: 1}, spec: {updateStrategy: {type: OnDelete}}, status: {observedGeneration: 1, desiredNumberScheduled: 3, currentNumberScheduled: 3, updatedNumberScheduled: 3, numberAvailable: 2, numberReady: 3}}", progressing, "Available: 2/3"},
		"and not ready any more":           {"{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: d, generation: 1}, spec: {updateStrategy: {type: OnDelete}}, status: {observedGeneration: 1, desiredNumberScheduled: 3, currentNumberScheduled: 3, numberAvailable: 3, numberReady: 1}}", progressing, "Ready: 1/3"},
		"daemon set by hand, not seen yet": {"{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: d, generation: 1}, spec: {updateStrategy: {type: OnDelete}}, status: {}}", progressing, "observedGeneration not found"},
	})
}

func TestJob(t *testing.T) {
	t.Parallel()
	check(t, "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j, generation: 1}\n", map[string]state{
		"not started":          {"spec: {suspend: false}", progressing, "Job not started"},
		"running":              {"status: {startTime: '2026-11-24T02:22:48Z', active: 1}", progressing, "Job in progress. success:0, active: 1, failed: 0"},
		"complete":             {"status: {startTime: '2026-11-24T02:22:48Z', succeeded: 1, conditions: [{type: SuccessCriteriaMet, status: 'True'}, {type: Complete, status: 'True'}]}", healthy, ""},
		"failed":               {"status: {startTime: '2026-11-24T02:22:48Z', failed: 7, conditions: [{type: FailureTarget, status: 'True'}, {type: Failed, status: 'True', reason: BackoffLimitExceeded, message: Job has reached the specified backoff limit}]}", failing, "BackoffLimitExceeded: Job has reached"},
		"failed, not said why": {"status: {conditions: [{type: Failed, status: 'True'}]}", failing, "does not say why"},
		"suspended":            {"spec: {suspend: true}\nstatus: {conditions: [{type: Suspended, status: 'True'}]}", healthy, ""},
		"suspended later":      {"spec: {suspend: true}\nstatus: {startTime: '2026-11-24T02:22:48Z', conditions: [{type: Suspended, status: 'True'}]}", healthy, ""},
		"suspended too late":   {"spec: {suspend: true}\nstatus: {conditions: [{type: Failed, status: 'True', reason: DeadlineExceeded}]}", failing, "DeadlineExceeded"},
		"resumed":              {"spec: {suspend: false}\nstatus: {startTime: '2026-11-24T02:22:48Z', active: 1, conditions: [{type: Suspended, status: 'False'}]}", progressing, "Job in progress"},
	})
}

func TestStorageAndNetwork(t *testing.T) {
	t.Parallel()
	check(t, "", map[string]state{
		"claim bound":              {"{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: p}, status: {phase: Bound}}", healthy, ""},
		"claim that waits":         {"{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: p}, status: {phase: Pending}}", progressing, "it has no volume yet; if its storage class binds late, it waits for a pod"},
		"claim nobody has seen":    {"{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: p}}", progressing, "PVC is not Bound"},
		"claim lost":               {"{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: p}, spec: {volumeName: pv-1}, status: {phase: Lost}}", failing, "its volume pv-1 is lost"},
		"service":                  {"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: ClusterIP, clusterIP: 10.0.0.1}, status: {loadBalancer: {}}}", healthy, ""},
		"headless service":         {"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {clusterIP: None}}", healthy, ""},
		"external name":            {"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: ExternalName, externalName: x.io}}", healthy, ""},
		"balanced":                 {"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: LoadBalancer, clusterIP: 10.0.0.1}, status: {loadBalancer: {ingress: [{ip: 1.2.3.4}]}}}", healthy, ""},
		"balanced by nobody":       {"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: LoadBalancer, clusterIP: 10.0.0.1}, status: {loadBalancer: {}}}", progressing, "no load balancer has given it an address yet"},
		"balanced, without any IP": {"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: LoadBalancer}}", progressing, "ClusterIP not set"},
		"aggregated API":           {"{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.x.io}, status: {conditions: [{type: Available, status: 'True', reason: Passed}]}}", healthy, ""},
		"aggregated API, away":     {"{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.x.io}, status: {conditions: [{type: Available, status: 'False', reason: MissingEndpoints, message: no endpoints}]}}", progressing, "MissingEndpoints: no endpoints"},
		"aggregated API, unknown":  {"{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.x.io}}", progressing, "does not say why"},
	})
}

func TestAutoscaler(t *testing.T) {
	t.Parallel()
	const able = "{type: AbleToScale, status: 'True', reason: ReadyForNewScale}"
	check(t, "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\n", map[string]state{
		"new":          {"", healthy, ""},
		"active":       {"status: {conditions: [" + able + ", {type: ScalingActive, status: 'True'}, {type: ScalingLimited, status: 'False'}]}", healthy, ""},
		"no metrics":   {"status: {conditions: [" + able + ", {type: ScalingActive, status: 'False', reason: FailedGetResourceMetric, message: unable to get metrics for resource cpu}]}", healthy, ""},
		"bad selector": {"status: {conditions: [" + able + ", {type: ScalingActive, status: 'False', reason: InvalidSelector, message: the target has no selector}]}", degraded, "InvalidSelector: the target has no selector"},
		"no target":    {"status: {conditions: [{type: AbleToScale, status: 'False', reason: FailedGetScale, message: deployments.apps web not found}]}", degraded, "not found"},
		"switched off": {"status: {conditions: [" + able + ", {type: ScalingActive, status: 'False', reason: ScalingDisabled, message: scaling is disabled since the replica count of the target is zero}]}", healthy, ""},
	})
}
