package http

import (
	"context"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/id"
	"github.com/colliery-io/brokkr/pkg/domain/page"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/services/api/internal/app"
)

type (
	newStackJSON struct {
		Name        string         `json:"name"`
		Description *string        `json:"description"`
		GeneratorID *string        `json:"generator_id"`
		Treatment   *treatmentJSON `json:"treatment"`
	}
	stackChangeJSON struct {
		ID          *string              `json:"id"`
		Name        *string              `json:"name"`
		Description patch[string]        `json:"description"`
		Treatment   patch[treatmentJSON] `json:"treatment"`
	}
	stackAnnotationBody struct {
		StackID string `json:"stack_id"`
		Key     string `json:"key"`
		Value   string `json:"value"`
	}
)

func sameStack(path stack.ID, body string) error {
	if body == "" {
		return nil
	}
	v, err := id.Parse[stack.ID]("stack id", body)
	if err != nil {
		return err
	}
	if v != path {
		return fault.New(fault.Invalid, "stack_id_mismatch", "the stack id in the body is not the stack of the path")
	}
	return nil
}

func (n newStackJSON) stack() (app.NewStack, error) {
	out := app.NewStack{Name: n.Name, Description: n.Description}
	if n.Treatment != nil {
		out.Treatment = n.Treatment.treatment()
	}
	if n.GeneratorID == nil || *n.GeneratorID == "" {
		return out, nil
	}
	v, err := id.Parse[string]("generator_id", *n.GeneratorID)
	out.Generator = v
	return out, err
}

func stackTagged(s stack.Stack) rpc.Tagged {
	return rpc.Tagged{Tag: app.StackTag(s), Body: stackOf(s)}
}

func stackRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		list("list_stacks", "/stacks", view(Generator), stack.List(), none, func(ctx context.Context, _ struct{}, q page.Query) (page.Page[stack.Stack], error) {
			return a.ListStacks(ctx, who(ctx), q)
		}, stackOf),
		list("list_deleted_stacks", "/deleted-stacks", view(Generator), stack.DeletedList(), none, func(ctx context.Context, _ struct{}, q page.Query) (page.Page[stack.Stack], error) {
			return a.ListDeletedStacks(ctx, who(ctx), q)
		}, func(s stack.Stack) deletedStackJSON { return deletedStackJSON{stackOf(s), a.RestorableUntil(s)} }),
		post("create_stack", "/stacks", operate(Generator), rpc.JSON[newStackJSON], func(ctx context.Context, n newStackJSON) (stackJSON, error) {
			ns, err := n.stack()
			if err != nil {
				return stackJSON{}, err
			}
			out, err := a.CreateStack(ctx, who(ctx), ns)
			return stackOf(out), err
		}),
		get("get_stack", "/stacks/{id}", view(GeneratorOwner), justID[stack.ID], func(ctx context.Context, s stack.ID) (rpc.Tagged, error) {
			out, err := a.GetStack(ctx, who(ctx), s)
			return stackTagged(out), err
		}),
		put("update_stack", "/stacks/{id}", operate(GeneratorOwner), idAndWhole[stack.ID, stackChangeJSON], func(ctx context.Context, r of[stack.ID, stackChangeJSON]) (rpc.Tagged, error) {
			if r.body.ID != nil {
				if err := sameStack(r.id, *r.body.ID); err != nil {
					return rpc.Tagged{}, err
				}
			}
			ch := app.StackChange{Name: r.body.Name, Description: app.Patch[string](r.body.Description)}
			if ch.Treatment.Set = r.body.Treatment.Set; r.body.Treatment.Value != nil {
				t := r.body.Treatment.Value.treatment()
				ch.Treatment.Value = &t
			}
			out, err := a.UpdateStack(ctx, who(ctx), r.id, ch)
			return stackTagged(out), err
		}).Conditional(),
		del("delete_stack", "/stacks/{id}", operate(GeneratorOwner), justID[stack.ID], func(ctx context.Context, s stack.ID) error {
			return a.DeleteStack(ctx, who(ctx), s)
		}).Conditional(),
		act("restore_stack", "/stacks/{id}/restore", operate(GeneratorOwner), justID[stack.ID], func(ctx context.Context, s stack.ID) (rpc.Tagged, error) {
			out, err := a.RestoreStack(ctx, who(ctx), s)
			return stackTagged(out), err
		}),
	}
}

func stackPartRoutes(a *app.App) []rpc.Route {
	return []rpc.Route{
		list("stacks_list_labels", "/stacks/{id}/labels", view(StackReader), stack.LabelList(), justID[stack.ID], rpc.Short(stack.LabelList(), func(ctx context.Context, s stack.ID) ([]stack.Label, error) {
			return a.StackLabels(ctx, who(ctx), s)
		}), stackLabelOf),
		post("stacks_add_label", "/stacks/{id}/labels", operate(GeneratorOwner), idAnd[stack.ID, string], func(ctx context.Context, r of[stack.ID, string]) (stackLabelJSON, error) {
			out, err := a.AddStackLabel(ctx, who(ctx), r.id, r.body)
			return stackLabelOf(out), err
		}),
		del("stacks_remove_label", "/stacks/{id}/labels/{label}", operate(GeneratorOwner), idAndText[stack.ID]("label"), func(ctx context.Context, r part[stack.ID, string]) error {
			return a.RemoveStackLabel(ctx, who(ctx), r.id, r.key)
		}),
		list("stacks_list_annotations", "/stacks/{id}/annotations", view(StackReader), stack.AnnotationList(), justID[stack.ID], rpc.Short(stack.AnnotationList(), func(ctx context.Context, s stack.ID) ([]stack.Annotation, error) {
			return a.StackAnnotations(ctx, who(ctx), s)
		}), stackAnnotationOf),
		post("stacks_add_annotation", "/stacks/{id}/annotations", operate(GeneratorOwner), idAnd[stack.ID, stackAnnotationBody], func(ctx context.Context, r of[stack.ID, stackAnnotationBody]) (stackAnnotationJSON, error) {
			if err := sameStack(r.id, r.body.StackID); err != nil {
				return stackAnnotationJSON{}, err
			}
			out, err := a.AddStackAnnotation(ctx, who(ctx), r.id, r.body.Key, r.body.Value)
			return stackAnnotationOf(out), err
		}),
		del("stacks_remove_annotation", "/stacks/{id}/annotations/{key}", operate(GeneratorOwner), idAndText[stack.ID]("key"), func(ctx context.Context, r part[stack.ID, string]) error {
			return a.RemoveStackAnnotation(ctx, who(ctx), r.id, r.key)
		}),
	}
}
