package fleet

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/colliery-io/brokkr/pkg/domain/cluster"
)

// Region of a simulated cluster, for the annotation of its agent.
func Region(number int) string { return fmt.Sprint("r", number%5) }

// status is a cluster as an agent tells of it: of a size, version and price by chance.
func status(chance *rand.Rand, number int) json.RawMessage {
	price := float64(chance.IntN(100)) / 10
	nodes := int32(3 + chance.IntN(20))
	s := cluster.Status{
		KubernetesVersion: fmt.Sprintf("v1.%d.%d", 31+chance.IntN(5), chance.IntN(9)), Nodes: nodes, ReadyNodes: nodes,
		Allocatable:   cluster.Resources{CPU: int64(nodes) * 8000, Memory: int64(nodes) << 35, Pods: int64(nodes) * 110},
		Requested:     cluster.Resources{CPU: int64(nodes) * int64(chance.IntN(4000)), Memory: int64(nodes) << 33, Pods: int64(nodes) * 20},
		Architectures: []string{"amd64"}, APIs: []string{"apps/v1", "batch/v1", "cert-manager.io/v1", "v1"},
		Facts: map[string]cluster.Fact{"gpu_price": {Number: &price}, "name": {Text: fmt.Sprint("cluster-", number)}},
	}
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // it holds nothing that could not be encoded
	}
	return text
}
