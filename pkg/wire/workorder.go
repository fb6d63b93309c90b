package wire

import "time"

// WorkOrder is an order as the v1 contract shows it to admins and agents.
type WorkOrder struct {
	ID                  string     `json:"id"`
	CreatedAt           time.Time  `json:"created_at"`
	UpdatedAt           time.Time  `json:"updated_at"`
	WorkType            string     `json:"work_type"`
	YAMLContent         string     `json:"yaml_content"`
	Status              string     `json:"status"`
	ClaimedBy           *string    `json:"claimed_by"`
	ClaimedAt           *time.Time `json:"claimed_at"`
	ClaimEndsAt         *time.Time `json:"claim_ends_at"`
	ClaimTimeoutSeconds int64      `json:"claim_timeout_seconds"`
	MaxRetries          int        `json:"max_retries"`
	RetryCount          int        `json:"retry_count"`
	BackoffSeconds      int64      `json:"backoff_seconds"`
	NextRetryAfter      *time.Time `json:"next_retry_after"`
	LastError           *string    `json:"last_error"`
	LastErrorAt         *time.Time `json:"last_error_at"`
	Traceparent         string     `json:"traceparent,omitempty"`
}

// WorkOrderClaim is what a renewal answers: how long the claim holds, without the order's manifests.
type WorkOrderClaim struct {
	ID          string     `json:"id"`
	Status      string     `json:"status"`
	ClaimedBy   *string    `json:"claimed_by"`
	ClaimedAt   *time.Time `json:"claimed_at"`
	ClaimEndsAt *time.Time `json:"claim_ends_at"`
}

// WorkOrderLog is what became of an order.
type WorkOrderLog struct {
	ID               string     `json:"id"`
	WorkType         string     `json:"work_type"`
	CreatedAt        time.Time  `json:"created_at"`
	ClaimedAt        *time.Time `json:"claimed_at"`
	CompletedAt      time.Time  `json:"completed_at"`
	ClaimedBy        *string    `json:"claimed_by"`
	Success          bool       `json:"success"`
	RetriesAttempted int        `json:"retries_attempted"`
	ResultMessage    *string    `json:"result_message"`
	YAMLContent      string     `json:"yaml_content"`
}
