package broker

import (
	"context"
	"net/http"
	"net/url"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/wire"
)

const (
	maxDiagnosticsBytes = 1 << 20
	maxAnswerBytes      = 32 << 20 // the broker repeats what it keeps
)

// PendingDiagnostics returns the questions that the agent may claim.
func (c *Client) PendingDiagnostics(ctx context.Context, id agent.ID) ([]wire.DiagnosticRequest, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var out []wire.DiagnosticRequest
	err := c.call(ctx, http.MethodGet, "/api/v1/agents/"+url.PathEscape(string(id))+"/diagnostics/pending", nil, &out, maxDiagnosticsBytes)
	return out, c.said(err, out != nil)
}

// ClaimDiagnostic makes a question this agent's; Conflict if it is not open any more.
func (c *Client) ClaimDiagnostic(ctx context.Context, request string) (wire.DiagnosticRequest, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var out wire.DiagnosticRequest
	err := c.call(ctx, http.MethodPost, "/api/v1/diagnostics/"+url.PathEscape(request)+"/claim", nil, &out, maxErrorBytes)
	return out, c.said(err, out.ID == request)
}

// AnswerDiagnostic sends the answer to a claimed question.
func (c *Client) AnswerDiagnostic(ctx context.Context, request string, a wire.DiagnosticAnswer) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var kept wire.DiagnosticResult
	err := c.call(ctx, http.MethodPost, "/api/v1/diagnostics/"+url.PathEscape(request)+"/result", a, &kept, maxAnswerBytes)
	return c.said(err, kept.RequestID == request)
}
