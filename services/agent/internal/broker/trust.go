package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/colliery-io/brokkr/pkg/platform/certificate"
)

// Trust says whom the agent believes to be the broker, and with which certificate it shows itself: caFile holds authorities in
// PEM (empty: those of the system), certFile and keyFile the agent's certificate (empty: none). Both are read anew for each
// connection, so that a renewed certificate is used.
func Trust(caFile, certFile, keyFile string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pool, err := certificate.Authorities(caFile)
		if err != nil {
			return nil, fmt.Errorf("agent.ca_file: %w", err)
		}
		c.RootCAs = pool
	}
	if certFile == "" {
		return c, nil
	}
	if _, err := pair(certFile, keyFile); err != nil {
		return nil, err
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair(certFile, keyFile) }
	return c, nil
}

func pair(certFile, keyFile string) (*tls.Certificate, error) {
	p, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("agent.client_cert %s with agent.client_key %s: %w", certFile, keyFile, err)
	}
	return &p, nil
}

// untrusted says what to do where TLS is why no connection came about; empty if it is not.
func untrusted(err error) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var refused *net.OpError
	switch {
	case errors.As(err, &authority):
		return "its certificate is of an authority that is not trusted here: give the authority's certificate as agent.ca_file (BROKKR__AGENT__CA_FILE)"
	case errors.As(err, &name):
		return name.Error() + ": use a name in agent.broker_url that its certificate has"
	case errors.As(err, &invalid):
		return "its certificate cannot be used: " + invalid.Error()
	case errors.Is(err, http.ErrSchemeMismatch):
		return "it speaks plain HTTP there: begin agent.broker_url with http://, or have the broker speak TLS"
	case errors.As(err, &refused) && refused.Op == "remote error":
		return "it does not accept this TLS connection (" + refused.Err.Error() + "): does it want another agent.client_cert?"
	default:
		return ""
	}
}

// hungUp says what to do where a listener with TLS took the connection and ended it before it answered; empty if that is not
// what happened. In TLS 1.3 it looks at the client's certificate when the client may be writing already, whose error then is
// that of writing, or of HTTP/2, and not the refusal.
func hungUp(err error, url string) string {
	var op *net.OpError
	if !strings.HasPrefix(url, "https:") || (errors.As(err, &op) && op.Op == "dial") || errors.Is(err, context.Canceled) {
		return ""
	}
	return "it ended the TLS connection (" + err.Error() + "): if that goes on, does it want another agent.client_cert?"
}

// plainToTLS reports whether an answer is that of a listener that expects TLS.
func plainToTLS(status int, body []byte) bool {
	return status == http.StatusBadRequest && strings.Contains(string(body), "HTTP request to an HTTPS server")
}
