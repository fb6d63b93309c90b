package testenv

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"testing"
	"time"
)

// Server is the main function of one of our servers.
type Server func(ctx context.Context, version string, environ []string, out io.Writer) error

// Serve runs a server inside the test until the test ends, as version 1.2.3. It returns the address that the listener with this
// name ("api (api.addr)") is bound to, and what the server writes. A server that ends with an error fails the test.
func Serve(t testing.TB, main Server, listener string, environ ...string) (addr string, logs fmt.Stringer) {
	t.Helper()
	out, ended := &output{}, make(chan error, 1)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	go func() { ended <- main(ctx, "1.2.3", environ, out) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	bound := regexp.MustCompile(`"server":"` + regexp.QuoteMeta(listener) + `","address":"([^"]+)"`)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if m := bound.FindStringSubmatch(out.String()); m != nil {
			return m[1], out
		}
		select {
		case err := <-ended:
			ended <- nil
			t.Fatalf("the server did not start: %v\n%s", err, out)
		default:
		}
	}
	t.Fatalf("the server is not listening:\n%s", out)
	return "", nil
}

// Ask returns the answer to a GET without a key.
func Ask(t testing.TB, url string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("read the answer of %s: %v", url, err)
	}
	return res.StatusCode, string(b)
}
