package client_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/colliery-io/brokkr/pkg/client"
)

// exampleBroker answers as a broker does whose generator "ci" has one stack without a deployment object.
func exampleBroker() *httptest.Server {
	const stack = `{"id":"11111111-1111-4111-8111-111111111111","created_at":"2026-08-02T10:00:00Z","updated_at":"2026-08-02T10:00:00Z","name":"web","generator_id":"g"}`
	objects := []map[string]any{}
	mux := http.NewServeMux()
	say := func(w http.ResponseWriter, status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("POST /api/v1/auth/pak", func(w http.ResponseWriter, _ *http.Request) {
		say(w, http.StatusOK, map[string]any{"admin": false, "generator": "g"})
	})
	mux.HandleFunc("GET /api/v1/stacks", func(w http.ResponseWriter, _ *http.Request) {
		say(w, http.StatusOK, []json.RawMessage{json.RawMessage(stack)})
	})
	mux.HandleFunc("POST /api/v1/stacks/{id}/labels", func(w http.ResponseWriter, _ *http.Request) {
		say(w, http.StatusCreated, map[string]any{})
	})
	mux.HandleFunc("GET /api/v1/stacks/{id}/deployment-objects", func(w http.ResponseWriter, _ *http.Request) {
		say(w, http.StatusOK, objects)
	})
	mux.HandleFunc("POST /api/v1/stacks/{id}/deployment-objects", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			YAML string `json:"yaml_content"`
		}
		text, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(text, &body)
		sum := sha256.Sum256([]byte(body.YAML))
		now := time.Now().UTC()
		made := map[string]any{"id": "o", "created_at": now, "updated_at": now, "submitted_at": now, "sequence_id": len(objects) + 1,
			"yaml_content": body.YAML, "yaml_checksum": hex.EncodeToString(sum[:])}
		objects = append([]map[string]any{made}, objects...)
		say(w, http.StatusCreated, made)
	})
	return httptest.NewServer(mux)
}

// A generator makes a bundle and applies it, as often as it likes.
func ExampleClient_Apply() {
	broker := exampleBroker()
	defer broker.Close()
	ctx := context.Background()

	c, err := client.New(client.Options{URL: broker.URL, PAK: "brokkr_BRexampl_GK3QN7CDUzYc6iKgMkJ98M2WSimM5t6U8", RequestTimeout: 30 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, greeting := range []string{"hello", "hello", "good day"} {
		b, err := client.NewBundle("my generator", client.Part{
			Name: "greeting",
			Text: "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: greeting\ndata:\n  text: " + greeting + "\n",
		})
		if err != nil {
			fmt.Println(err) // names part, document and line
			return
		}
		done, err := c.Apply(ctx, client.Desired{Stack: "web", Marks: client.Marks{Labels: []string{"prod"}}, Bundle: b})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(done.Outcome, done.Object.SequenceID)
	}
	// Output:
	// created 1
	// unchanged 1
	// updated 2
}

// Errors say who can do something about them.
func ExampleIsTemporary() {
	broker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"code":"stacks_list_denied","message":"agents have no stacks"}`)
	}))
	defer broker.Close()
	c, err := client.New(client.Options{URL: broker.URL, PAK: "an agent's"})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = c.Stacks(context.Background(), "")

	var refused *client.APIError
	switch {
	case client.IsTemporary(err):
		fmt.Println("wait, then again")
	case client.IsCode(err, "stacks_list_denied"):
		fmt.Println("use a generator's key")
	case errors.As(err, &refused):
		fmt.Println("refused:", refused.Code)
	}
	// Output: use a generator's key
}

// A bundle has the same checksum whichever client makes it, so that publishing can be skipped.
func ExampleCompare() {
	b, err := client.NewBundle("example", client.Part{Name: "a.yaml", Text: "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n\n"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client.Compare(nil, b))
	fmt.Println(client.Compare(&client.Object{YAMLChecksum: b.Checksum()}, b))
	fmt.Println(client.Compare(&client.Object{YAMLChecksum: b.Checksum(), IsDeletionMarker: true}, b))
	// Output:
	// created
	// unchanged
	// updated
}
