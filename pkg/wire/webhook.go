package wire

// PendingWebhook is a delivery that an agent has claimed, with everything that it takes to make it.
type PendingWebhook struct {
	ID             string  `json:"id"`
	SubscriptionID string  `json:"subscription_id"`
	EventType      string  `json:"event_type"`
	Payload        string  `json:"payload"`
	URL            string  `json:"url"`
	AuthHeader     *string `json:"auth_header"`
	TimeoutSeconds int64   `json:"timeout_seconds"`
	MaxRetries     int     `json:"max_retries"`
	Attempts       int     `json:"attempts"`  // before this one
	Signature      string  `json:"signature"` // of this attempt; the key itself stays with the broker
}

// WebhookResult is how an attempt ended.
type WebhookResult struct {
	Success    bool    `json:"success"`
	StatusCode *int    `json:"status_code"`
	Error      *string `json:"error"`
	DurationMS *int64  `json:"duration_ms"`
}
