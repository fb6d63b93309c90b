package workorder

// CreatedData is what the event workorder.created tells.
func (o Order) CreatedData() map[string]any {
	return map[string]any{"work_order_id": o.ID, "work_type": o.Type, "status": o.Status, "created_at": o.CreatedAt}
}

// ClaimedData is what the event workorder.claimed tells; o is claimed.
func (o Order) ClaimedData() map[string]any {
	return map[string]any{"work_order_id": o.ID, "work_type": o.Type, "agent_id": o.Claim.Agent, "claimed_at": o.Claim.At}
}

// Data is what the events workorder.completed and workorder.failed tell.
func (e Entry) Data() map[string]any {
	data := map[string]any{
		"work_order_log_id": e.ID, "work_type": e.Type, "success": e.Success, "result_message": e.Message, "agent_id": nil, "completed_at": e.CompletedAt,
	}
	if e.ClaimedBy != "" {
		data["agent_id"] = e.ClaimedBy
	}
	return data
}
