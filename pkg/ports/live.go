package ports

import "context"

// LiveBatch is some frames of one topic, in the order in which they were published. Lost says that frames may have been
// missed before; it stands alone.
type LiveBatch struct {
	Topic  string
	Frames [][]byte
	Lost   bool
}

// Live carries what is seen just now to those who watch, whichever replica they are connected to. It only informs: frames
// may be lost, and nobody gets what was published before he subscribed. Frames hold no line feed and belong to the reader
// and to all other readers: they are not changed.
type Live interface {
	// Publish sends batches; Unavailable if they could not be sent.
	Publish(ctx context.Context, batches []LiveBatch) error
	// Subscribe delivers the batches of a topic until ctx ends; then the channel is closed. The first value is a Lost one,
	// from then on it listens. It reconnects by itself, and tells by Lost. A slow reader loses batches, never blocks others,
	// and is told by Lost.
	Subscribe(ctx context.Context, topic string) (<-chan LiveBatch, error)
}
