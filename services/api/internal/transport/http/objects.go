package http

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

type newObjectJSON struct {
	YAMLContent *string `json:"yaml_content"`
	Marker      bool    `json:"is_deletion_marker"`
}

type newObject struct {
	content []byte
	marker  bool
	preview bool
}

func isYAML(mediaType string) bool {
	return mediaType == "application/yaml" || mediaType == "application/x-yaml" || mediaType == "text/yaml"
}

// objectBody reads a publication, or with ?dry_run=true the question what it would change.
func objectBody(r *http.Request) (newObject, error) {
	preview, err := flag(r, "dry_run")
	if err != nil {
		return newObject{}, err
	}
	out, err := objectContent(r)
	out.preview = preview
	return out, err
}

// flag reads a query parameter that is true or false; without it, it is false.
func flag(r *http.Request, name string) (bool, error) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, fault.Newf(fault.Invalid, "invalid_query", "%s is %q, not true or false", name, v)
	}
	return b, nil
}

// objectContent reads JSON, or the manifests themselves as YAML with ?deletion_marker=.
func objectContent(r *http.Request) (newObject, error) {
	if ct, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && isYAML(ct) {
		return rawObject(r)
	}
	b, err := rpc.JSON[newObjectJSON](r)
	if err != nil {
		return newObject{}, err
	}
	if b.YAMLContent == nil {
		if !b.Marker {
			return newObject{}, fault.New(fault.Invalid, "invalid_deployment_object", "yaml_content is missing")
		}
		return newObject{marker: true}, nil
	}
	return newObject{content: []byte(*b.YAMLContent), marker: b.Marker}, nil
}

func rawObject(r *http.Request) (newObject, error) {
	marker, err := flag(r, "deletion_marker")
	if err != nil {
		return newObject{}, err
	}
	content, err := io.ReadAll(r.Body)
	if err != nil {
		return newObject{}, fmt.Errorf("read the body: %w", err)
	}
	return newObject{content: content, marker: marker}, nil
}

type objectQuery struct {
	id  stack.ObjectID
	raw bool
}

func objectID(r *http.Request) (objectQuery, error) {
	v, err := pathID[stack.ObjectID](r, "id")
	return objectQuery{id: v, raw: wantsYAML(r)}, err
}

func wantsYAML(r *http.Request) bool {
	for _, header := range r.Header.Values("Accept") {
		for item := range strings.SplitSeq(header, ",") {
			if mt, _, err := mime.ParseMediaType(item); err == nil && isYAML(mt) {
				return true
			}
		}
	}
	return false
}

// publishedList is stack.ObjectList of objects with their contents.
func publishedList() page.List[app.Published] {
	return page.Of(stack.ObjectList(), func(o app.Published) stack.Object { return o.Object })
}

func objectRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		list("list_deployment_objects", "/stacks/{id}/deployment-objects", operate(GeneratorOwner), publishedList(), justID[stack.ID], func(ctx context.Context, s stack.ID, q page.Query) (page.Page[app.Published], error) {
			return a.ListObjects(ctx, who(ctx), s, q)
		}, objectOf),
		post("create_deployment_object", "/stacks/{id}/deployment-objects", operate(GeneratorOwner),
			func(r *http.Request) (of[stack.ID, newObject], error) { return idWith[stack.ID](r, objectBody) },
			func(ctx context.Context, r of[stack.ID, newObject]) (any, error) {
				if r.body.preview {
					out, err := a.PreviewObject(ctx, who(ctx), r.id, r.body.content, r.body.marker)
					return rpc.WithStatus{Status: http.StatusOK, Body: previewOf(out)}, err
				}
				out, err := a.PublishObject(ctx, who(ctx), r.id, r.body.content, r.body.marker)
				return objectOf(out), err
			}),
		get("diff_deployment_objects", "/deployment-objects/{id}/diff", operate(StackReader), objectPair, func(ctx context.Context, r of[stack.ObjectID, stack.ObjectID]) (objectDiffJSON, error) {
			out, err := a.DiffObjects(ctx, who(ctx), r.id, r.body)
			return objectDiffOf(out), err
		}),
		get("get_deployment_object", "/deployment-objects/{id}", operate(StackReader), objectID, func(ctx context.Context, q objectQuery) (any, error) {
			out, err := a.GetObject(ctx, who(ctx), q.id)
			if err != nil {
				return nil, err
			}
			if q.raw {
				return rpc.Bytes{ContentType: "application/yaml", Content: out.Content, Header: http.Header{"Vary": {"Accept"}}}, nil
			}
			return objectOf(out), nil
		}),
	}
}
