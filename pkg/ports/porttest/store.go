// Package porttest proves that an adapter keeps the contract of a port: one suite a port, run by every adapter's
// tests on the real thing. Where a comment of package ports leaves room, the suite settles it:
//
//   - an unknown or deleted owner is NotFound when something is added to it, in any method;
//   - NotFound carries the code of the public contract (agent_not_found, stack_label_not_found, ...), a duplicate
//     the code unique_violation (a second registration already_registered);
//   - names are ordered by their bytes, whatever the locale of the server;
//   - a cancelled context comes back as an error that is context.Canceled;
//   - a tombstone gives an agent no sight of the stack, its objects or its content;
//   - the end of the outbox is not beyond what a slower transaction has still to commit.
//
// A closure that gets an error inside Write returns it: whether the transaction is usable afterwards is not promised.
package porttest

import (
	"testing"

	"github.com/colliery-io/brokkr/pkg/ports"
)

// Store checks that a store keeps the contract of ports.Store and its wakeups that of ports.Wakeups. Open returns
// an empty store (but for what the first start makes) that the test alone uses; it cleans up through t.
func Store(t *testing.T, open func(t *testing.T) (ports.Store, ports.Wakeups)) {
	t.Helper()
	groups := map[string]map[string]func(*world){
		"write":         transactionCases(),
		"lifecycle":     lifecycleCases(),
		"generators":    generatorCases(),
		"credentials":   credentialCases(),
		"locks":         lockCases(),
		"keyring":       keyringCases(),
		"join tokens":   joinTokenCases(),
		"registrations": registrationCases(),
		"agents":        agentCases(),
		"agent parts":   agentPartCases(),
		"liveness":      livenessCases(),
		"stacks":        stackCases(),
		"objects":       objectCases(),
		"blobs":         blobCases(),
		"secrets":       secretCases(),
		"templates":     templateCases(),
		"policies":      policyCases(),
		"assignments":   assignmentCases(),
		"reports":       reportCases(),
		"removals":      removalCases(),
		"fleet brake":   fleetRemovalCases(),
		"events":        eventCases(),
		"facts":         factCases(),
		"insights":      insightCases(),
		"observations":  observationCases(),
		"diagnostics":   diagnosticCases(),
		"decisions":     decisionCases(),
		"history":       historyCases(),
		"holds":         holdCases(),
		"rollouts":      rolloutCases(),
		"webhooks":      webhookCases(),
		"deliveries":    deliveryCases(),
		"claims":        claimCases(),
		"outbox":        outboxCases(),
		"leases":        leaseCases(),
		"audit":         auditCases(),
		"idempotency":   idempotencyCases(),
		"clusters":      clusterCases(),
		"drains":        drainCases(),
		"reachability":  reachabilityCases(),
		"pages":         pageCases(),
		"wakeups":       wakeupCases(),
		"works":         workCases(),
		"work orders":   workOrderCases(),
		"work log":      workOrderLogCases(),
	}
	for group, cases := range groups {
		t.Run(group, func(t *testing.T) {
			t.Parallel()
			for name, run := range cases {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					store, wakeups := open(t)
					run(newWorld(t, store, wakeups))
				})
			}
		})
	}
}
