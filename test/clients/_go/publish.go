// Publishes a bundle with the client that oapi-codegen makes of the API document.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"example.com/publish/brokkr"
)

const manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: from-go\n"

func main() {
	if err := publish(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func publish(ctx context.Context) error {
	api, err := brokkr.NewClientWithResponses(os.Getenv("BROKKR_URL")+"/api/v1", brokkr.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+os.Getenv("BROKKR_PAK"))
		return nil
	}))
	if err != nil {
		return err
	}
	who, err := api.VerifyPakWithResponse(ctx)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if who.JSON200 == nil || who.JSON200.Generator == nil {
		return fmt.Errorf("verify: %s %s", who.Status(), who.Body)
	}
	stack, err := api.CreateStackWithResponse(ctx, &brokkr.CreateStackParams{}, brokkr.CreateStackJSONRequestBody{Name: "from-go", GeneratorId: who.JSON200.Generator})
	if err != nil {
		return fmt.Errorf("create stack: %w", err)
	}
	if stack.JSON201 == nil {
		return fmt.Errorf("create stack: %s %s", stack.Status(), stack.Body)
	}
	label, err := api.StacksAddLabelWithResponse(ctx, stack.JSON201.Id, &brokkr.StacksAddLabelParams{}, "env:test")
	if err != nil {
		return fmt.Errorf("label: %w", err)
	}
	if label.JSON201 == nil {
		return fmt.Errorf("label: %s %s", label.Status(), label.Body)
	}
	made, err := api.CreateDeploymentObjectWithResponse(ctx, stack.JSON201.Id, &brokkr.CreateDeploymentObjectParams{}, brokkr.CreateDeploymentObjectJSONRequestBody{YamlContent: manifest})
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if made.JSON201 == nil {
		return fmt.Errorf("publish: %s %s", made.Status(), made.Body)
	}
	objects, err := api.ListDeploymentObjectsWithResponse(ctx, stack.JSON201.Id, &brokkr.ListDeploymentObjectsParams{})
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if objects.JSON200 == nil {
		return fmt.Errorf("list: %s %s", objects.Status(), objects.Body)
	}
	if list := *objects.JSON200; len(list) != 1 || list[0].Id != made.JSON201.Id || list[0].YamlContent != manifest {
		return fmt.Errorf("listed %s, want what was published", objects.Body)
	}
	fmt.Printf("published %s with sequence %d\n", made.JSON201.Id, made.JSON201.SequenceId)
	return nil
}
